"""Sets of networks, compared by the addresses in them, however either is cut into pieces. However many there are: each is looked
at once."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def left(those: Sequence[str], without: Sequence[str]) -> list[str]:
    """The networks that hold the addresses of `those` which are not in `without`."""
    out: list[str] = []
    address: type[Address]
    for version, address in ((4, ipaddress.IPv4Address), (6, ipaddress.IPv6Address)):
        for first, last in gaps(spans(those, version), spans(without, version)):
            out += map(str, ipaddress.summarize_address_range(address(first), address(last)))
    return out


def gaps(those: list[tuple[int, int]], without: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """What is left of `those`, in order."""
    at = 0
    for start, end in those:
        first = start
        while at < len(without) and without[at][1] < first:
            at += 1
        ahead = at
        while ahead < len(without) and without[ahead][0] <= end:
            if first < without[ahead][0]:
                yield first, without[ahead][0] - 1
            first = without[ahead][1] + 1
            ahead += 1
        if first <= end:
            yield first, end


def spans(texts: Sequence[str], version: int) -> list[tuple[int, int]]:
    """First and last addresses of the networks of one version, in order, none within another."""
    nets: list[Network] = [net for net in map(ipaddress.ip_network, texts) if net.version == version]
    merged = ipaddress.collapse_addresses(nets)  # type: ignore[type-var]
    return [(int(net.network_address), int(net.broadcast_address)) for net in merged]

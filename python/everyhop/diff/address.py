"""Addresses that the edge listens at: how far they can be reached from, and which of them take the same connections."""

from __future__ import annotations

import ipaddress
from typing import Literal

Reach = Literal["this host", "a private network", "a network", "every network of this host"]
REACHES: tuple[Reach, ...] = ("this host", "a private network", "a network", "every network of this host")
"""The nearest first."""


def ip(bind: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(bind.rpartition(":")[0].strip("[]"))


def reach(bind: str) -> int:
    """From where an address can be reached, as an index of `REACHES`."""
    at = ip(bind)
    if at.is_unspecified:
        return 3
    return 0 if at.is_loopback else 1 if at.is_private else 2


def meet(a: str, b: str) -> bool:
    """Whether some connection could come to either address."""
    if a.rpartition(":")[2] != b.rpartition(":")[2]:
        return False
    x, y = ip(a), ip(b)

    def takes(one: ipaddress.IPv4Address | ipaddress.IPv6Address, version: int) -> bool:
        """`[::]` takes IPv4 as well."""
        return one.is_unspecified and (one.version == 6 or version == 4)

    return x == y or takes(x, y.version) or takes(y, x.version)

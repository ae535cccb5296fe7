"""The places of a list `to`, whoever goes there: each is an address, is found by DNS that may be asked, and stands once.
Read next: `rules_hops.py`, then `rules_collectors.py`."""

from __future__ import annotations

from collections.abc import Iterator

from everyhop.compile import names
from everyhop.compile.behind import Behind
from everyhop.compile.world import Key, World
from everyhop.model import Hop


def places(
    world: World,
    by: Behind,
    seen: dict[str, Key],
    *,
    says: str = "goes to",
    example: tuple[str, int] = ("_https._tcp.api.internal", 8443),
) -> Iterator[tuple[int, Hop, names.Address]]:
    """Those that are addresses, with their place in the list. `seen`: where each stands that was named before; `example`: a
    service and a port, of what is offered to write."""
    service, port = example
    for j, backend in enumerate(by.hops):
        at = names.address(backend.at)
        if at is None:
            why = names.oddity(backend.at)
            world.refuse(
                "hop/address",
                by.address(j),
                f"{by.called} {says} {backend.at!r}" + (f": {why}" if why else ", which is no address with a port"),
                *[f'write the name as DNS has it: "{wire}"' for wire in [ascii_of(backend.at)] if wire],
                f'write "10.0.0.5:{port}", "[2001:db8::1]:{port}", "name:{port}", "unix:/path" or "srv:{service}"',
            )
            continue
        if at.service is not None and not world.config.dns.servers:
            world.refuse(
                "hop/service-unasked",
                by.address(j),
                f"{by.called} {says} {at}, and [dns] names no servers that could be asked where it is",
                '[dns] servers = ["10.0.0.53"]',
                f'or name what serves it: to = ["name:{port}"]',
            )
        if str(at) in seen:
            twice(world, by, j, at, says, seen[str(at)])
        seen.setdefault(str(at), by.address(j))
        yield j, backend, at


def twice(world: World, by: Behind, j: int, at: names.Address, says: str, first: Key) -> None:
    """A place that is gone to already; what a backend answers is not answered once more by its copy."""
    is_copy = by.is_mirror and "mirror" not in first
    what = f"{by.called} is its backend {at}" if is_copy else f"{by.called} {says} {at} twice"
    mends = ("name another place: what a request does would be done twice",) if is_copy else ("keep one of them",)
    world.refuse("hop/twice", by.address(j), what, *mends, also=(first,))


def ascii_of(at: str) -> str | None:
    name, colon, port = at.rpartition(":")
    found = names.ascii_form(name)
    return f"{found}{colon}{port}" if found else None

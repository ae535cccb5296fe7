"""What this machine cannot give of what the configuration asks for, while everything else holds: told at a start and at a
reload, before somebody misses it. Read next: `keeper.py`."""

from __future__ import annotations

import resource

from everyhop import _door
from everyhop.engine.sockets import Bound, without_ipv6
from everyhop.plan import Plan


def shortfalls(plan: Plan, bound: list[Bound], descriptors: int | None = None) -> list[str]:
    """`descriptors`: how many an engine may have, by default as many as our own limit lets it."""
    found = [f"{bind}: this machine has no IPv6; IPv4 alone is served there" for bind in without_ipv6(bound)]
    most = held(hard_limit() if descriptors is None else descriptors)
    for listener in plan.listeners:
        if listener.connections > most:
            found.append(
                f"listener {listener.name!r} may have {listener.connections} connections and the process has descriptors for"
                f" {most}; raise them (LimitNOFILE= of a unit, --ulimit nofile= of a container), or lower connections"
            )
    return found


def held(descriptors: int) -> int:
    """Connections of clients that so many descriptors hold, each with one to a backend."""
    return max(descriptors - _door.RESERVED_FDS, 2) // 2


def hard_limit() -> int:
    """An engine raises its own to this; one without a bound is counted by the kernel's."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return hard if hard != resource.RLIM_INFINITY else 1 << 30

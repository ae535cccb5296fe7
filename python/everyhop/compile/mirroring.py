"""A route's mirror, read as a route is: what it does not say of its hops, its route says. Pure. Read next: `behind.py`."""

from __future__ import annotations

from collections.abc import Sequence

from everyhop.model import Hop, Route


def hops_of(to: Sequence[str | Hop]) -> list[Hop]:
    """All in the long form."""
    return [Hop(at=entry) if isinstance(entry, str) else entry for entry in to]


def mirrored(it: Route) -> Route | None:
    """The route as it would be if copies were its requests; its `to` stays its own. `None` where there is no mirror."""
    given = it.mirror
    if given is None:
        return None
    said = ("tls", "verify", "present", "upstream_protocol")
    return it.model_copy(update={name: value for name in said if (value := getattr(given, name)) is not None})

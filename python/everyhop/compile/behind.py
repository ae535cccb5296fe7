"""What lies behind a route: its backends, or those of its mirror, with where each word about them stands in the file; and where
a collector, a store or an authorizer is. The rules of hops hold for all. It judges nothing."""

from __future__ import annotations

from dataclasses import dataclass

from everyhop.compile.mirroring import hops_of, mirrored
from everyhop.compile.world import Key
from everyhop.model import Authorizer, Config, Hop, Mirror, Route, Side


@dataclass(frozen=True)
class Behind:
    """A list `to`, and what holds for all of it."""

    own: Key
    """The route's own place."""
    given: Route | Mirror | Side | Authorizer
    """What has the list."""
    route: Route | Side | Authorizer
    """What holds for it: of a mirror its route's words, where it has none of its own."""

    @property
    def is_mirror(self) -> bool:
        return isinstance(self.given, Mirror)

    @property
    def at(self) -> Key:
        return (*self.own, "mirror") if self.is_mirror else self.own

    @property
    def called(self) -> str:
        if isinstance(self.given, Side):
            return f"{self.own[0]} {self.given.name!r}"
        if isinstance(self.given, Authorizer):
            return f"authorizer {self.given.name!r}"
        return f"the mirror of route {self.route.name!r}" if self.is_mirror else f"route {self.route.name!r}"

    @property
    def hops(self) -> list[Hop]:
        return hops_of(self.given.to)

    def key(self, j: int) -> Key:
        return (*self.at, "to", j)

    def address(self, j: int) -> Key:
        """The address of one, in whichever form it is written."""
        return self.key(j) if isinstance(self.given.to[j], str) else (*self.key(j), "at")

    def pattern(self, j: int) -> Key:
        """What says how one is spoken with: its own word, else that of the list, else the route's."""
        return (*self.key(j), "tls") if self.hops[j].tls is not None else self.said("tls")

    def said(self, field: str) -> Key:
        """Where that is said of all of them; where nowhere, there it could be."""
        mine = getattr(self.given, field, None) is not None
        return (*(self.at if mine else self.own), field)


def behind(config: Config, i: int) -> list[Behind]:
    """The route's own, then its mirror's."""
    route = config.route[i]
    found = [Behind(("route", i), route, route)]
    as_route = mirrored(route)
    if route.mirror is not None and as_route is not None:
        found.append(Behind(("route", i), route.mirror, as_route))
    return found

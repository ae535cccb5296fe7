"""By which listeners a route is reached, as it and its sites name them. Read next: `rules_listeners.py`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from everyhop.compile import names
from everyhop.compile.streams import owner
from everyhop.compile.world import World
from everyhop.model import Route

Named = list[str] | None
"""The only listeners by which something is reached; `None`: every one."""


def meet(a: Named, b: Iterable[str]) -> list[str]:
    """Those of `b` by which what names `a` is reached."""
    return [name for name in b if a is None or name in a]


def share(a: Named, b: Named) -> bool:
    """Whether two things are reached by one listener."""
    return a is None or b is None or bool({*a} & {*b})


def serving(world: World) -> list[str]:
    """Listeners that serve what comes in the clear."""
    return [it.name for it in world.config.listener if it.speaks == "http" and it.serve]


def going_on(world: World, route: Route) -> list[str]:
    """Listeners from which something goes on to a route like that: without a hello nothing can be passed through, and bytes that
    are not read have none that could be."""
    unread = route.tls == "passthrough" or route.is_stream
    return [it.name for it in world.config.listener if it.speaks == "tls" or (it.serve and not unread)]


def named_by(world: World, route: Route, owned: Mapping[str, str]) -> Named:
    """The only listeners by which a route is reached, as it and the sites of its names say."""
    hosts = (names.served(text) for text in route.hosts)
    owners = {owner(owned, host) for host in hosts if host is not None}
    sites = [site.listeners for site in world.config.site if site.name in owners]
    if route.tls == "passthrough" or not sites or None in sites:
        return route.listeners
    return meet(route.listeners, sorted({name for all_of_it in sites for name in all_of_it or ()}))


def reached_by(world: World, route: Route, owned: Mapping[str, str]) -> set[str]:
    """Those of them from which something goes on."""
    return {*meet(named_by(world, route, owned), going_on(world, route))}


def in_the_clear(world: World, route: Route, owned: Mapping[str, str]) -> list[int]:
    """The listeners, by their index, by which requests come to a route in the clear."""
    reached = reached_by(world, route, owned)
    open_at = {*serving(world)} & reached
    return [n for n, it in enumerate(world.config.listener) if it.name in open_at]

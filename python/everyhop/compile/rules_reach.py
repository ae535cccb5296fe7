"""Rules about the ways by which requests come to a route: a site must end the TLS of its names, no two routes may take
the same request, and none of the sites by which it is reached may demand less of clients unseen. Asked of the engine's matcher (`ways_in.py`)."""

from __future__ import annotations

from collections.abc import Callable

from everyhop.compile import names
from everyhop.compile.keys import route_host, route_match
from everyhop.compile.streams import owned, owner, streaming
from everyhop.compile.ways_in import WaysIn
from everyhop.compile.world import World
from everyhop.model import Route, Site
from everyhop.trust import DEMANDS

DEMANDED = list(DEMANDS)


def judge(world: World, ways: WaysIn | None) -> None:
    """`ways` is `None` where nothing can be matched, which is refused elsewhere."""
    if ways is None:
        return
    # Once for all routes: each looks at all of them.
    known, unread = owned(world), streaming(world)

    def is_mixed(route: Route, host: str) -> bool:
        """A route of HTTP in a site that carries TCP, which `rules_streams.py` tells."""
        return not route.is_stream and owner(known, host) in unread

    for i, route in enumerate(world.config.route):
        if route.tls != "passthrough":
            sited(world, ways, i, route, is_mixed)
            weaker_site(world, ways, i, route)
    ties(world, ways)


def ties(world: World, ways: WaysIn) -> None:
    """Routes of one host that could match the same request with nothing to tell them apart; each is told of once."""
    for late, tie in {t.late: t for t in reversed(ways.ties)}.items():
        route, first = world.config.route[late], world.config.route[tie.first]
        world.refuse(
            "route/tie",
            route_match(world.config, late, tie.host),
            f"{route.name!r} and {first.name!r} both match {tie.host}{tie.path}",
            f"give one of them another path, method, header or cookie, or a priority: {route.name!r} priority = 1",
            also=(route_match(world.config, tie.first, tie.host),),
        )


def sited(world: World, ways: WaysIn, i: int, route: Route, is_mixed: Callable[[Route, str], bool]) -> None:
    for host in (names.served(text) for text in route.hosts):
        if host is None or is_mixed(route, host):
            continue
        owner = ways.owner.get(host)
        site = world.config.site[owner] if owner is not None else None
        # A wildcard of a site takes names of any depth, one of a certificate is one whole label.
        if site is None or not any(
            own in (names.EVERY, host) or names.covers(own, host) for own in world.site_hosts[site.name]
        ):
            world.refuse(
                "route/no-site",
                route_host(world.config, i, host),
                f"route {route.name!r} ends TLS for {host}, and no site "
                + ("serves it" if site is None else "has a certificate's name for it"),
                f'add "{host}" to the hosts of a [[site]]',
                'or let the backend end TLS: tls = "passthrough"',
            )
        elif route.names_clients and site.clients is None:
            world.refuse(
                "route/nothing-to-do",
                ("route", i, "allow", "clients"),
                f"route {route.name!r} allows only some clients, and site {site.name!r} asks none for a certificate",
                f'give site {site.name!r} clients = {{ ca = ..., mode = "require" }}',
            )


def demand(site: Site) -> int:
    return DEMANDED.index(site.clients.mode if site.clients else "nothing")


def taken_by(route: Route, name: str) -> str:
    """The wildcard of the route by which it takes `name`, which it does not write itself: the longest that fits."""
    fitting = [h for text in route.hosts if (h := names.served(text)) and names.below(name, h)]
    return max(fitting, key=len, default="")


def weaker_site(world: World, ways: WaysIn, i: int, route: Route) -> None:
    """A name that a route's wildcard takes may belong to another site than the wildcard itself."""
    if route.names_clients:
        return
    written = {names.served(text) for text in route.hosts}
    inside = {s: (world.config.site[s], request) for s, request in ways.reached.get(i, {}).items()}
    if not inside:
        return
    strictest = max((site for site, _ in inside.values()), key=demand)
    for s, (site, request) in sorted(inside.items()):
        if request.pattern in written or demand(site) >= demand(strictest):
            continue
        asks = {0: "asks clients for no certificate", 1: "takes clients without one"}[demand(site)]
        demands = {1: "asks for one", 2: "demands a certificate"}[demand(strictest)]
        world.warn(
            "route/reached-through-weaker-site",
            route_host(world.config, i, taken_by(route, request.pattern)),
            f"route {route.name!r} is also reached as {request} through site {site.name!r}, which {asks}; site "
            f"{strictest.name!r} {demands}",
            f"give site {site.name!r} the clients of site {strictest.name!r}",
            f"or a route of its own for {request.pattern}",
            "or name on this route whom it takes: allow = { clients = [...] }",
            also=(("site", s, "name"),),
        )

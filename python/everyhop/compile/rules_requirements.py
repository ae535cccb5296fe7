"""Rules about what routes require: known, built, given by the pattern, and configured. Read next: `trust/kept.py`.

A promise that nothing keeps is refused. What a promise rests on is asked of every site by which a request can reach the
route, and of every certificate that is good for its hosts.
"""

from __future__ import annotations

from everyhop.compile import names
from everyhop.compile.world import Key, World
from everyhop.model import Route, Site
from everyhop.trust import CAPABILITIES, Standing, missing, unmet


def judge(world: World) -> None:
    for i, route in enumerate(world.config.route):
        if route.requires:
            standing = standing_of(world, i, route)
            for j, requirement in enumerate(route.requires):
                required(world, standing, ("route", i, "requires", j), requirement)


def required(world: World, standing: Standing, key: Key, requirement: str) -> None:
    route, row = standing.route, CAPABILITIES.get(requirement)
    drop = "drop the requirement"
    if row is None:
        known = ", ".join(sorted(CAPABILITIES))
        world.refuse("config/unknown-name", key, f"{requirement!r} is no capability", f"one of: {known}")
    elif not row.built:
        what = f"route {route.name!r} requires {requirement}, and Everyhop has none yet"
        world.refuse("route/requirement-not-built", key, what, row.instead, drop)
    elif (why := unmet(requirement, route.tls)) is not None:
        world.refuse(
            "route/requirement-unmet",
            key,
            f"route {route.name!r} requires {requirement} and has tls = {route.tls!r}: {why}",
            f"tls = {' or '.join(sorted(row.patterns))}",
            drop,
            also=((*key[:2], "tls"),),
        )
    elif (lacks := missing(requirement, standing)) is not None:
        what = f"route {route.name!r} requires {requirement}: {lacks.what}"
        world.refuse("route/requirement-not-configured", key, what, *lacks.mend, drop, also=lacks.at)


def standing_of(world: World, i: int, route: Route) -> Standing:
    hosts = [h for text in route.hosts if (h := names.host(text, wildcard=True))]
    sites = tuple(enumerate(world.config.site))
    if route.tls == "passthrough":
        keys = tuple((n, site, name) for n, site in sites if (name := good_for(world, n, site, hosts)))
        return Standing(route, i, (), keys, world.config)
    reaching = {site for host in hosts for site in owners(world, i, host)}
    return Standing(route, i, tuple((n, s) for n, s in sites if s.name in reaching), (), world.config)


def good_for(world: World, n: int, site: Site, hosts: list[str]) -> str | None:
    """A name in the site's hosts or certificates with which the edge could answer for one of `hosts`."""
    read = [name for j in range(len(site.certs)) if (p := world.pairs.get(("site", n, "certs", j))) for name in p.names]
    held = [*world.site_hosts[site.name], *read, *world.certified.get(n, ())]
    return next((own for own in held for host in hosts if names.covers(own, host) or names.covers(host, own)), None)


def owners(world: World, i: int, host: str) -> set[str]:
    """The sites inside which a request for `host` can come: that of the name itself, and for a wildcard those of names
    below it, unless another route takes all that such a name is asked for."""
    found, owner, best = set(), "", 0
    for site, patterns in world.site_hosts.items():
        for pattern in patterns:
            if pattern == host or (pattern.startswith("*.") and host.endswith(pattern[1:])):
                rank = len(pattern) + (pattern == host)
                if rank > best:
                    best, owner = rank, site
            elif host.startswith("*.") and pattern.endswith(host[1:]) and not taken(world, i, pattern):
                found.add(site)
    return found | {owner} if best else found


def taken(world: World, i: int, pattern: str) -> bool:
    """Whether another route takes every request for `pattern`."""
    return any(
        k != i
        and not (other.path or other.path_exact or other.methods or other.headers)
        and pattern in [names.host(h, wildcard=True) for h in other.hosts]
        for k, other in enumerate(world.config.route)
    )

"""Rules about what routes require: known, built, given by the pattern, and configured. Read next: `trust/kept.py`.

A promise that nothing keeps is refused. What a promise rests on is asked of every site by which a request can reach the
route, and of every certificate that is good for its hosts.
"""

from __future__ import annotations

import posixpath

from everyhop.compile import coming, names
from everyhop.compile.reach import in_the_clear, serving
from everyhop.compile.streams import owned
from everyhop.compile.ways_in import NOTHING, WaysIn
from everyhop.compile.world import Key, World
from everyhop.model import Route, Site
from everyhop.plan import STRENGTH
from everyhop.trust import ALONE, ANSWERED, CAPABILITIES, Standing, missing, unmet


def judge(world: World, ways: WaysIn | None) -> None:
    """`ways` is `None` where nothing can be matched, which is refused elsewhere."""
    for i, route in enumerate(world.config.route):
        if route.requires:
            standing = standing_of(world, ways or NOTHING, i, route)
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
    elif route.is_answered and requirement not in ANSWERED:
        what = f"route {route.name!r} requires {requirement}, and {ALONE}"
        given = "redirect" if route.redirect is not None else "answer"
        world.refuse("route/requirement-unmet", key, what, drop, also=((*key[:2], given),))
    elif not route.is_answered and (why := unmet(requirement, str(route.tls), stream=route.is_stream)) is not None:
        world.refuse(
            "route/requirement-unmet",
            key,
            f"route {route.name!r} requires {requirement} and has "
            + (f"protocol = 'tcp': {why}" if row.reads_http and route.is_stream else f"tls = {route.tls!r}: {why}"),
            'protocol = "http"' if row.reads_http and route.is_stream else f"tls = {any_of(row.patterns)}",
            drop,
            also=((*key[:2], "protocol" if row.reads_http and route.is_stream else "tls"),),
        )
    elif (lacks := missing(requirement, standing)) is not None:
        what = f"route {route.name!r} requires {requirement}: {lacks.what}"
        world.refuse("route/requirement-not-configured", key, what, *lacks.mend, drop, also=lacks.at)


def any_of(patterns: frozenset[str]) -> str:
    """The safest first."""
    return " or ".join(f'"{it}"' for it in sorted(patterns, key=STRENGTH.__getitem__, reverse=True))


def standing_of(world: World, ways: WaysIn, i: int, route: Route) -> Standing:
    hosts = [h for text in route.hosts if (h := names.served(text))]
    sites = tuple(enumerate(world.config.site))
    if route.tls == "passthrough":
        keys = tuple((n, site, name) for n, site in sites if (name := good_for(world, n, site, hosts)))
        return Standing(route, i, (), keys, world.config)
    inside = tuple((n, s) for n, s in sites if n in ways.reached.get(i, {}))
    open_at = tuple(in_the_clear(world, route, owned(world))) if serving(world) else ()
    return Standing(route, i, inside, (), world.config, one_key(world), open_at)


def one_key(world: World) -> frozenset[tuple[int, int]]:
    """Identities and sites with the same key: by the place that it is read from, and by what was read there."""

    def known(key: Key, place: str) -> set[str]:
        read = world.pairs.get(key)
        kind, _, path = place.partition(":")
        return {f"{kind}:{posixpath.normpath(path)}", *([read.key_sha256] if read else [])}

    both = [
        (i, n)
        for i, identity in enumerate(world.config.identity)
        for n, site in enumerate(world.config.site)
        if site.identity == identity.name
    ]
    return frozenset(both) | frozenset(
        (i, n)
        for i, identity in enumerate(world.config.identity)
        for n, site in enumerate(world.config.site)
        for j, pair in enumerate(site.pairs)
        if known(("identity", i), identity.key) & known(("site", n, "certs", j), pair.key)
    )


def good_for(world: World, n: int, site: Site, hosts: list[str]) -> str | None:
    """A name in the site's hosts or certificates with which the edge could answer for one of `hosts`."""
    read = [name for j in range(len(site.pairs)) if (p := world.pairs.get(("site", n, "certs", j))) for name in p.names]
    read += pair.names if (pair := coming.of_site(world, n)) else ()
    held = [*world.site_hosts[site.name], *read, *world.certified.get(n, ())]
    # A wildcard of a route takes names of any depth; one of a certificate is one whole label.
    return next((own for own in held for host in hosts if names.covers(own, host) or names.below(own, host)), None)

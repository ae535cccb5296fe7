"""Rules about routes and sites that carry what is not read: nothing of HTTP is asked of them, and nobody chooses by which
of the two ways it is taken. Read next: `streams.py`."""

from __future__ import annotations

from everyhop.compile import names
from everyhop.compile.keys import route_host
from everyhop.compile.streams import owned, owner, streaming
from everyhop.compile.world import Key, World, backends
from everyhop.model import Route, Site
from everyhop.model.words import GREETING, StartTls
from everyhop.trust import CAPABILITIES

HTTP = ("h2", "http/1.1")
OF_REQUESTS = ("first_byte_s", "body_progress_s", "body_bytes", "answer_silence_s", "total_s")
"""Limits of a route that are of requests and answers."""


def judge(world: World) -> None:
    carried, known = streaming(world), owned(world)
    for i, route in enumerate(world.config.route):
        asking(world, i, route)
        if route.protocol == "tcp":
            form(world, i, route)
        elif route.tls != "passthrough":
            apart(world, i, carried, known)
    for i, site in enumerate(world.config.site):
        offers(world, i, site, streams=site.name in carried)
    for i, listener in enumerate(world.config.listener):
        for field in ("no_sni", "unknown_sni"):
            routes = carried.get(getattr(listener, field), [])
            if len(routes) > 1:
                told = ", ".join(repr(world.config.route[r].name) for r in routes)
                world.refuse(
                    "listener/no-one-route",
                    ("listener", i, field),
                    f"listener {listener.name!r} answers with site {getattr(listener, field)!r}, which carries TCP for {told}",
                    'use "refuse", or a site with one route',
                )


def form(world: World, i: int, route: Route) -> None:
    key: Key = ("route", i)
    if route.tls == "passthrough":
        world.refuse(
            "route/nothing-to-do",
            (*key, "protocol"),
            f"route {route.name!r} passes TLS through, whatever is spoken in it",
            "remove protocol",
            'or end TLS here: tls = "mutual"',
        )
        return
    for row in (c for c in CAPABILITIES.values() if c.reads_http):
        for field in row.settings:
            if getattr(route, field) not in (None, {}, 0):
                world.refuse(
                    "route/http-on-tcp",
                    (*key, field),
                    f"route {route.name!r} carries TCP and sets {field}: the edge reads no HTTP there",
                    f"remove {field}: {row.instead}",
                    'or read requests: protocol = "http"',
                    of_key=True,
                )
    for field, what in (("answers", "how HTTP is read"), ("eject_on", "what of requests and answers ejects a backend")):
        if getattr(route, field) is not None:
            world.refuse(
                "route/http-on-tcp",
                (*key, field),
                f"route {route.name!r} carries TCP and sets {field}, which says {what}",
                f"remove {field}: there are no requests here",
                of_key=True,
            )
    for field in OF_REQUESTS:
        if getattr(route.limits, field) is not None:
            world.refuse(
                "route/http-on-tcp",
                (*key, "limits", field),
                f"route {route.name!r} carries TCP and sets limits.{field}, which is of requests and answers",
                f"remove {field}: a tunnel has connect_s and tunnel_idle_s",
                of_key=True,
            )


def asking(world: World, i: int, route: Route) -> None:
    """Whether there is a backend that could be asked for TLS by the route's `starttls`, and a client for it."""
    key: Key = ("route", i, "starttls")
    near = [it for it in world.config.listener if route.listeners is None or it.name in route.listeners]
    ways = [listener.starttls for listener in near if listener.speaks == "tls"]
    if ways and not any(lines_up(route, way) for way in ways):
        clients = " or ".join(sorted({by_words(way) for way in ways}))
        mends = [f"write {by_words(way)} on the route" for way in dict.fromkeys(ways) if way]
        world.refuse(
            "route/starttls-apart",
            key if route.starttls else ("route", i, "tls"),
            f"route {route.name!r} asks backends for TLS with {by_words(route.starttls)}, and its clients ask with {clients}",
            *mends or [f"write {by_words(route.starttls)} on a listener"],
            'or end TLS here: tls = "reencrypt"' if route.tls == "passthrough" else "or have clients begin with TLS",
        )
        return
    if route.starttls is None or route.tls == "passthrough" or route.is_answered:
        return
    if not route.is_stream:
        what = f"route {route.name!r} reads HTTP and asks backends for TLS in the words of {route.starttls}"
        world.refuse("route/nothing-to-do", key, what, "remove starttls", 'or protocol = "tcp"')
    elif all((backend.tls or route.tls) == "plaintext" for backend in backends(route)):
        what = f"route {route.name!r} is plaintext, and says how its backends are asked for TLS"
        world.refuse(
            "route/nothing-to-do",
            key,
            what,
            'tls = "reencrypt"',
            "or remove starttls: how clients ask for TLS is the listener's starttls",
            also=(("route", i, "tls"),),
        )


def by_words(words: StartTls | None) -> str:
    return f'starttls = "{words}"' if words else "no starttls"


def lines_up(route: Route, listener: StartTls | None) -> bool:
    """Whether what a client says after TLS is what a backend waits for: as the engine has it for each connection."""
    if route.tls == "passthrough":
        # Nobody can take a greeting away within a session that passes, or add one.
        both = {route.starttls, listener} - {None}
        return route.starttls == listener or (len(both) == 1 and not both & GREETING)
    return not route.is_stream or listener is None or route.starttls in (None, listener)


def apart(world: World, i: int, carried: dict[str, list[int]], known: dict[str, str]) -> None:
    """A route of HTTP must not lie in a site that carries what is not read."""
    route = world.config.route[i]
    for host in (names.served(text) for text in route.hosts):
        site = owner(known, host) if host else None
        if host and site in carried:
            other = carried[site][0]
            world.refuse(
                "route/protocols-mixed",
                route_host(world.config, i, host),
                f"route {route.name!r} reads HTTP for {host}, and site {site!r} carries TCP for {world.config.route[other].name!r}",
                "give one of them a [[site]] of its own, with its own hosts",
                also=(("route", other, "protocol"),),
            )


def offers(world: World, i: int, site: Site, *, streams: bool) -> None:
    """What a site offers by ALPN."""
    if site.alpn is None:
        return
    if not site.alpn and not streams:
        world.refuse(
            "config/wrong-value",
            ("site", i, "alpn"),
            f"site {site.name!r} offers no protocol by ALPN",
            'alpn = ["h2", "http/1.1"]',
        )
    for j, text in enumerate(site.alpn):
        if not streams and text not in HTTP:
            world.refuse(
                "config/wrong-value",
                ("site", i, "alpn", j),
                f"site {site.name!r} offers {text!r} by ALPN, and what it reads is h2 or http/1.1",
                'alpn = ["h2", "http/1.1"]',
                'or carry it unread: protocol = "tcp" on the route of its hosts',
            )
        elif not 0 < len(text.encode()) < 256 or not text.isascii() or not text.isprintable():
            world.refuse(
                "config/wrong-value",
                ("site", i, "alpn", j),
                f"site {site.name!r} offers {text!r} by ALPN",
                "write a protocol's name of 1 to 255 letters (RFC 7301)",
            )
        elif text in site.alpn[:j]:
            world.refuse(
                "config/wrong-value",
                ("site", i, "alpn", j),
                f"site {site.name!r} offers {text!r} twice by ALPN",
                "keep one of them",
            )

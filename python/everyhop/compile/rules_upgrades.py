"""Rules about what a route lets its clients switch to: each is a tunnel, behind whose beginning the edge reads nothing."""

from __future__ import annotations

from everyhop.compile import names
from everyhop.compile.world import Key, World
from everyhop.model import Route

UNJUDGED = frozenset({"h2c", "h2", "http", "tls"})
"""Names of protocols in which requests would go past the edge; the engine has the same in `asked.rs`."""


def judge(world: World) -> None:
    for i, route in enumerate(world.config.route):
        if route.upgrades is not None and route.carries_requests:
            listed(world, i, route, route.upgrades)


def listed(world: World, i: int, route: Route, upgrades: list[str]) -> None:
    key: Key = ("route", i, "upgrades")
    if route.websocket is not None:
        world.refuse(
            "route/nothing-to-do",
            ("route", i, "websocket"),
            f"route {route.name!r} sets websocket, and upgrades, which lists all that pass",
            "remove websocket" + (': upgrades = ["websocket", ...] has it' if route.websocket else ""),
            also=(key,),
            of_key=True,
        )
    known = [name.lower() for name in upgrades]
    for j, name in enumerate(upgrades):
        if not all(names.TOKEN.match(part) for part in name.split("/", 1)):
            world.refuse(
                "config/wrong-value",
                (*key, j),
                f"route {route.name!r} lets upgrades to {name!r} pass, which is no name of a protocol (RFC 9110 §7.8)",
                'write a name, or a name and its version: "tcp", "SPDY/3.1"',
            )
        elif known[j].split("/")[0] in UNJUDGED:
            world.refuse(
                "route/upgrade-unjudged",
                (*key, j),
                f"route {route.name!r} lets upgrades to {name!r} pass",
                f"remove {name}: "
                + (
                    "clients begin with TLS as it is"
                    if known[j].startswith("tls")
                    else "clients of HTTP/2 choose it by ALPN, and each of their requests is judged"
                ),
                'or let TLS end at the backend: tls = "passthrough"',
            )
        elif known[j] in known[:j]:
            world.refuse(
                "config/wrong-value",
                (*key, j),
                f"route {route.name!r} lets upgrades to {name!r} pass twice: names are compared without case",
                "keep one of them",
            )
        elif route.upstream_protocol == "h2" and known[j] != "websocket":
            world.refuse(
                "hop/upgrade-over-http2",
                (*key, j),
                f"route {route.name!r} lets upgrades to {name!r} pass, and speaks HTTP/2 to its backends",
                'speak HTTP/1.1 to them: upstream_protocol = "http/1.1", or "auto" where the hop is TLS',
                f"or remove {name}",
                also=(("route", i, "upstream_protocol"),),
            )

"""Rules about health checks: one thing is asked, it can be asked over the route's hop, and it can be written.
Read next: `health.py`."""

from __future__ import annotations

import re

from everyhop.compile import names
from everyhop.compile.health import asked_host, statuses
from everyhop.compile.world import Key, World
from everyhop.model import Health, Route

PATH = re.compile(r"/[A-Za-z0-9\-._~!$&'()*+,;=:@%/?]*", re.ASCII)
"""A path with a query (RFC 3986 §3.3, §3.4)."""
SERVICE = re.compile(r"[!-~]{0,200}", re.ASCII)
KINDS = ("path", "grpc", "connect")


def judge(world: World) -> None:
    for i, route in enumerate(world.config.route):
        if route.health is None or route.is_answered:
            continue
        key: Key = ("route", i, "health")
        given = [kind for kind in KINDS if getattr(route.health, kind) is not None]
        if len(given) != 1:
            what = f"health of route {route.name!r} asks {'for ' + ' and '.join(given) if given else 'nothing'}"
            mend = 'health = { path = "/healthz" }', "or health = { connect = true }"
            world.refuse("route/wrong-health", key, what, *mend)
            continue
        kind = given[0]
        if kind != "connect" and not reads(world, key, route, kind):
            continue
        fits(world, key, route, route.health, kind)


def reads(world: World, key: Key, route: Route, kind: str) -> bool:
    """What is asked within a session can be asked only by whoever has one."""
    if route.tls != "passthrough" and not route.is_stream:
        return True
    passes = route.tls == "passthrough"
    world.refuse(
        "route/layer-7-on-passthrough" if passes else "route/http-on-tcp",
        (*key, kind),
        f"route {route.name!r} {'passes TLS through' if passes else 'carries TCP'} and its health check asks by {kind}:"
        + (" the edge has no session in which to ask" if passes else " the edge speaks no HTTP there"),
        "health = { connect = true }, which asks that a connection is taken",
        'or end TLS here: tls = "mutual"' if passes else 'or read requests: protocol = "http"',
        of_key=True,
    )
    return False


def fits(world: World, key: Key, route: Route, it: Health, kind: str) -> None:
    name = route.name
    for field, of in (("status", ("path",)), ("body", ("path",)), ("host", ("path", "grpc"))):
        if getattr(it, field) is not None and kind not in of:
            what = f"health of route {name!r} asks by {kind} and sets {field}"
            world.refuse("route/wrong-health", (*key, field), what, f"remove {field}", of_key=True)
    if kind == "grpc" and route.upstream_protocol not in {"h2", "auto"}:
        world.refuse(
            "route/wrong-health",
            (*key, "grpc"),
            f"health of route {name!r} calls gRPC, which needs HTTP/2, and the route speaks HTTP/1.1 to its backends",
            'upstream_protocol = "h2"',
            'or health = { path = "/healthz" }',
            of_key=True,
        )
    if it.path is not None and not PATH.fullmatch(it.path):
        what = f"health of route {name!r} asks for the path {it.path!r}"
        world.refuse("config/wrong-value", (*key, "path"), what, 'write a path that begins with /: "/healthz"')
    if it.status is not None and statuses(it.status) is None:
        what = f"health of route {name!r} takes the statuses {it.status!r}"
        world.refuse("config/wrong-value", (*key, "status"), what, 'write those from 200 to 599: "200-299,401"')
    if it.grpc is not None and not SERVICE.fullmatch(it.grpc):
        what = f"health of route {name!r} asks for the service {it.grpc!r}"
        world.refuse("config/wrong-value", (*key, "grpc"), what, 'write its name: "shop.Orders", or "" for the server')
    if it.host is not None and names.authority(it.host) is None:
        what = f"health of route {name!r} asks for the host {it.host!r}"
        world.refuse("config/wrong-value", (*key, "host"), what, 'write a host name: "app.internal"')
    elif kind != "connect" and it.host is None and route.host_header is None and asked_host(route) is None:
        what = f"health of route {name!r} asks for no host: those of the route are wildcards alone"
        world.refuse("route/wrong-health", key, what, f'{kind} = ..., host = "one.of.them"')

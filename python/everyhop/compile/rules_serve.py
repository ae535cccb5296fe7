"""Rules about listeners that serve what comes in the clear: somebody signed for it, or it never leaves this host; and nothing is
reached by them that needs a handshake. Read next: `rules_acceptance.py`, for its dates."""

from __future__ import annotations

from everyhop.compile import names
from everyhop.compile.reach import in_the_clear, meet, serving
from everyhop.compile.streams import owned, streaming
from everyhop.compile.world import Key, World
from everyhop.model import Listener, Site
from everyhop.screen import few


def judge(world: World) -> None:
    config = world.config
    for i, listener in enumerate(config.listener):
        serves(world, i, listener)
    for i, site in enumerate(config.site):
        certified(world, i, site)
    clear = serving(world)
    if not clear:
        return
    carried = streaming(world)
    for i, site in enumerate(config.site):
        there = meet(site.listeners, clear)
        if not there:
            continue
        if site.name in carried and site.listeners is not None:
            unread(world, ("site", i, "listeners"), f"site {site.name!r} carries TCP", there)
        elif site.name not in carried and site.clients is not None and site.clients.mode == "require":
            what = f"site {site.name!r} demands a certificate of clients"
            proofless(world, ("site", i, "clients"), what, there)
    known = owned(world)
    for i, route in enumerate(config.route):
        if route.tls == "passthrough" or route.is_stream:
            there = meet(route.listeners, clear) if route.listeners is not None else []
            what = "passes TLS through" if route.tls == "passthrough" else "carries TCP"
            if there:
                unread(world, ("route", i, "listeners"), f"route {route.name!r} {what}", there)
            continue
        open_at = in_the_clear(world, route, known)
        if open_at and route.names_clients:
            what = f"route {route.name!r} allows only clients that prove a name"
            proofless(world, ("route", i, "allow", "clients"), what, [config.listener[n].name for n in open_at])
        signed = [n for n in open_at if config.listener[n].acceptance is not None]
        if signed and route.data == "major-incident" and route.despite != "major-incident":
            world.refuse(
                "hop/major-incident-in-plaintext",
                ("route", i, "data"),
                f"route {route.name!r} carries data whose leak would be a major incident, and is reached in the clear by "
                f"listener {config.listener[signed[0]].name!r}",
                f"let it be reached with TLS alone: {alone(world)}",
                'or say so in the file: despite = "major-incident"',
                also=(("listener", signed[0], "serve"),),
            )


def serves(world: World, i: int, listener: Listener) -> None:
    key: Key = ("listener", i)
    name = repr(listener.name)
    if not listener.serve:
        if listener.acceptance is not None:
            what = f"listener {name} has an acceptance, and serves nothing in the clear"
            world.warn("acceptance/needless", (*key, "acceptance"), what, "remove it")
        return
    if listener.speaks == "tls":
        world.refuse(
            "listener/nothing-to-do",
            (*key, "serve"),
            f"listener {name} speaks TLS, and serve is about what comes in the clear",
            "remove serve",
            'or take plain HTTP here: speaks = "http"',
            of_key=True,
        )
        return
    if listener.https_port is not None:
        world.refuse(
            "listener/nothing-to-do",
            (*key, "https_port"),
            f"listener {name} serves what comes in the clear, and sends nobody elsewhere",
            "remove https_port",
            "or remove serve",
            of_key=True,
        )
    away = [text for text in listener.bind if not is_here(text)]
    if away and listener.acceptance is None:
        world.refuse(
            "listener/serves-without-acceptance",
            (*key, "serve"),
            f"listener {name} serves requests that come in the clear to {few(away)}, and names no acceptance",
            'let TLS be spoken there: speaks = "tls"',
            f'bind it on this host: bind = ["127.0.0.1:{away[0].rpartition(":")[2]}"]',
            f"own the risk: everyhop accept {listener.name} --listener --owner NAME --until DATE --context isolated-network --why TEXT",
            of_key=True,
        )
    elif not away and listener.acceptance is not None:
        what = f"listener {name} has an acceptance, and is reached from this host alone"
        world.warn("acceptance/needless", (*key, "acceptance"), what, "remove it")


def is_here(bind: str) -> bool:
    """Literally this host. What cannot be read is refused elsewhere."""
    at = names.address(bind)
    return at is None or at.is_literal_loopback


def certified(world: World, i: int, site: Site) -> None:
    """What shows no certificate is reached where nobody asks for one."""
    if site.certs:
        return
    tls = [it.name for it in world.config.listener if it.speaks == "tls"]
    shown = meet(site.listeners, tls)
    if shown or not meet(site.listeners, serving(world)) or site.hosts is None:
        where = f"is reached by listener {shown[0]!r}, which speaks TLS" if shown else "names no hosts"
        if not shown and site.hosts is not None:
            where = "is reached by no listener that serves in the clear"
        world.refuse(
            "site/no-certificate",
            ("site", i, "name"),
            f"site {site.name!r} has no certificate, and {where}",
            'certs = [{ chain = "/etc/everyhop/edge.pem", key = "file:/etc/everyhop/edge.key" }]',
            "or write its hosts, and as its listeners those alone that serve in the clear",
        )


def proofless(world: World, key: Key, what: str, there: list[str]) -> None:
    world.refuse(
        "listener/serves-without-proof",
        key,
        f"{what}, and is reached by listener {there[0]!r}, where no client can prove anything",
        f"let it be reached with TLS alone: {alone(world)}",
        also=((*key[:2], "listeners"),) if world.value((*key[:2], "listeners")) else (),
    )


def unread(world: World, key: Key, what: str, there: list[str]) -> None:
    world.refuse(
        "listener/serves-requests",
        key,
        f"{what}, and names listener {there[0]!r}, which serves requests of HTTP in the clear",
        f"take it out: {alone(world)}",
    )


def alone(world: World) -> str:
    tls = [it.name for it in world.config.listener if it.speaks == "tls"] or ["NAME"]
    return f"listeners = [{', '.join(map(quoted, tls))}]"


def quoted(name: str) -> str:
    return f'"{name}"'

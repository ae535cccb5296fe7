"""Rules about the way behind the edge: what protects it, who is verified, and who signed for plaintext."""

from __future__ import annotations

from everyhop.compile.behind import Behind, behind
from everyhop.compile.places import places
from everyhop.compile.rules_acceptance import dated
from everyhop.compile.rules_proof import asking, asking_at_all, exchanging, verified
from everyhop.compile.world import Key, World
from everyhop.model import Authorizer, Hop, Route, Side
from everyhop.plan import STRENGTH
from everyhop.screen import few

LOCALHOST = "write the address, if it is this host: 127.0.0.1 leads nowhere else, and a name wherever it is told to"


def judge(world: World) -> None:
    for i, route in enumerate(world.config.route):
        if route.is_answered:
            continue
        accepted_needed: list[str] = []
        seen: dict[str, Key] = {}
        for it in behind(world.config, i):
            if not it.is_mirror or route.carries_requests:
                each(world, it, seen, accepted_needed)
        asking_at_all(world, i, route)
        if route.tls != "passthrough":
            acceptance(world, i, route, needed=accepted_needed)


def each(world: World, it: Behind, seen: dict[str, Key], accepted_needed: list[str]) -> None:
    """Every place in a list `to`. `seen`: those that the route names before."""
    route, least = it.route, world.config.route[int(it.own[1])].tls
    in_plaintext: list[str] = []
    for j, backend, at in places(world, it, seen):
        if route.tls == "passthrough":
            passthrough_entry(world, it.key(j), route, backend)
            continue
        assert route.tls is not None and least is not None and least != "passthrough"
        tls = backend.tls or route.tls
        if STRENGTH[tls] < STRENGTH[least]:
            whom = f"its mirror {at}" if it.is_mirror else f"its backend {at}"
            world.refuse(
                "hop/weaker-than-route",
                it.pattern(j),
                f"route {route.name!r} is {least} and {whom} only {tls}",
                f"make the {'mirror' if it.is_mirror else 'backend'} {least}, or the route {tls}",
                also=((*it.own, "tls"),),
            )
        if tls == "plaintext":
            in_plaintext.append(str(at))
            off_host = route.off_host if backend.off_host is None else backend.off_host
            if off_host or not at.is_literal_loopback:
                accepted_needed.append(str(at))
        else:
            verified(world, it, j, at)
        asking(world, it, j, tls)
        exchanging(world, it, j, tls)
    choosing(world, it, in_plaintext)


def choosing(world: World, it: Behind, in_plaintext: list[str]) -> None:
    """Whether a backend that may choose its protocol has TLS to choose it in."""
    if isinstance(it.route, Side | Authorizer) or it.route.upstream_protocol != "auto" or not in_plaintext:
        return
    world.refuse(
        "hop/nothing-negotiates",
        it.said("upstream_protocol"),
        f"{it.called} lets {few(in_plaintext)} choose the protocol, and speaks to it in plaintext",
        'say which it is: upstream_protocol = "h2", or "http/1.1"',
        'or encrypt the hop: tls = "reencrypt"',
        also=(it.said("tls"),),
    )


def passthrough_entry(world: World, key: Key, route: Route, backend: Hop) -> None:
    for field in ("tls", "verify", "present", "demand_asks", "require_post_quantum"):
        if getattr(backend, field) is not None:
            world.refuse(
                "route/layer-7-on-passthrough",
                (*key, field),
                f"route {route.name!r} passes TLS through and sets {field} for a backend",
                f"remove {field}",
                of_key=True,
            )


def acceptance(world: World, i: int, route: Route, *, needed: list[str]) -> None:
    key: Key = ("route", i, "acceptance")
    given = route.acceptance
    if given is None:
        if needed:
            world.refuse(
                "hop/plaintext-without-acceptance",
                ("route", i, "tls"),
                f"route {route.name!r} sends decrypted traffic to {few(needed)} and names no acceptance",
                'encrypt the hop: tls = "reencrypt" (or "mutual", with present = "'
                + (world.config.identity[0].name if world.config.identity else "NAME")
                + '")',
                f"own the risk: everyhop accept {route.name} --owner NAME --until DATE --why TEXT",
                *([LOCALHOST] if any(at.startswith("localhost:") for at in needed) else []),
            )
        return
    if not needed:
        world.warn(
            "acceptance/needless",
            key,
            f"route {route.name!r} has an acceptance, and sends no plaintext across a network",
            "remove it",
        )
        return
    if route.data == "major-incident" and route.despite != "major-incident":
        world.refuse(
            "hop/major-incident-in-plaintext",
            ("route", i, "data"),
            f"route {route.name!r} carries data whose leak would be a major incident, in plaintext",
            'encrypt the hop: tls = "mutual"',
            'or say so in the file: despite = "major-incident"',
            also=(("route", i, "tls"),),
        )
    again = f"decide again: everyhop accept {route.name} --owner NAME --until DATE --why TEXT"
    encrypt = 'encrypt the hop: tls = "reencrypt" or "mutual"'
    dated(world, key, given, f"route {route.name!r}", (encrypt, again))

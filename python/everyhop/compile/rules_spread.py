"""Rules about how a route's backends share what comes: by what can be seen there, and with somebody left who takes it.
Read next: `spreading.py`."""

from __future__ import annotations

from everyhop.compile import names
from everyhop.compile.keys import backend_at
from everyhop.compile.spreading import NAMED, WORDS, reads_requests
from everyhop.compile.world import Key, World, backends
from everyhop.model import Route


def judge(world: World) -> None:
    for i, route in enumerate(world.config.route):
        if route.is_answered:
            continue
        balance(world, i, route)
        takers(world, i, route)


def balance(world: World, i: int, route: Route) -> None:
    given, key = route.balance, ("route", i, "balance")
    if given is None:
        return
    name = next((given.removeprefix(p) for p in NAMED if given.startswith(p)), None)
    if given not in WORDS and (name is None or not names.TOKEN.match(name)):
        world.refuse(
            "config/wrong-value",
            key,
            f"route {route.name!r} balances by {given!r}",
            f"write one of {', '.join(WORDS)}, hash:header:NAME or hash:cookie:NAME",
        )
        return
    unread = route.tls == "passthrough" or route.is_stream
    if unread and reads_requests(given):
        what = "passes TLS through" if route.tls == "passthrough" else "carries TCP"
        world.refuse(
            "route/layer-7-on-passthrough" if route.tls == "passthrough" else "route/http-on-tcp",
            key,
            f"route {route.name!r} {what} and balances by {given!r}: the edge reads no request there",
            'balance = "hash:client-address", which every connection has',
            'or end TLS here: tls = "mutual"' if route.tls == "passthrough" else 'or read requests: protocol = "http"',
        )
        return
    for own, other, is_wrong in (
        ("least-requests", "least-connections", unread),
        ("least-connections", "least-requests", not unread),
    ):
        if given == own and is_wrong:
            reads = "no requests" if unread else "requests"
            world.refuse(
                "route/wrong-balance",
                key,
                f"route {route.name!r} balances by {given}, and the edge reads {reads} there",
                f'balance = "{other}"',
            )
    if name is not None and given.startswith("hash:header:") and not names.is_heard(name):
        world.refuse(
            "route/nothing-to-do",
            key,
            f"route {route.name!r} balances by the header {name!r}, which is taken from every request before it is matched",
            "name a field that the client may set",
            'or balance = "hash:client-address"',
        )


def takers(world: World, i: int, route: Route) -> None:
    """Somebody must take what comes while all is well."""
    entries = backends(route)
    if not entries or any(not b.backup and b.weight != 0 for b in entries):
        return
    primary = next((j for j, b in enumerate(entries) if not b.backup), None)
    key: Key = ("route", i, "to", 0, "backup") if primary is None else ("route", i, "to", primary, "weight")
    what = "only backups" if primary is None else "no backend that takes anything: each has weight 0"
    world.refuse(
        "route/nobody-takes",
        key,
        f"route {route.name!r} has {what}",
        "remove backup from one" if primary is None else "give one a weight",
        'or answer here: answer = { status = 503, text = "closed for now" }, without to and tls',
        also=tuple(backend_at(world.config, i, j) for j, b in enumerate(entries) if b.backup)[:1]
        if primary is not None
        else (),
    )

"""Rules about how a route's backends share what comes: by what can be seen there, and with somebody left who takes it.
Read next: `spreading.py`."""

from __future__ import annotations

from everyhop.compile import names
from everyhop.compile.keys import backend_at
from everyhop.compile.spreading import NAMED, PREFIX, WORDS, reads_requests
from everyhop.compile.world import Key, World, backends
from everyhop.model import Route


def judge(world: World) -> None:
    if (zone := world.config.engine.zone) is not None and not names.ZONE.fullmatch(zone):
        what = f"[engine] has the zone {zone!r}"
        mend = 'write a name of letters, digits, "-", "_" and ".": zone = "eu-west-1a"'
        world.refuse("config/wrong-value", ("engine", "zone"), what, mend)
    for i, route in enumerate(world.config.route):
        if route.is_answered:
            continue
        balance(world, i, route)
        sticking(world, i, route)
        zones(world, i, route)
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


def sticking(world: World, i: int, route: Route) -> None:
    """Whether a client could come back by it: by a cookie that browsers keep, and that no other route of its hosts sets."""
    it, key = route.sticky, ("route", i, "sticky")
    if it is None or route.tls == "passthrough" or route.is_stream:
        return
    if not names.TOKEN.match(it.cookie) or it.cookie.startswith("__"):
        world.refuse(
            "config/wrong-value",
            (*key, "cookie"),
            f"route {route.name!r} sticks by a cookie {it.cookie!r}, which is no name that {PREFIX} could be put before",
            'cookie = "edge"',
        )
    if (route.balance or "").startswith("hash:"):
        world.refuse(
            "route/sticky",
            key,
            f"route {route.name!r} sticks by a cookie and balances by {route.balance!r}: each says which backend a client has",
            "remove balance: a client comes back by its cookie",
            "or remove sticky",
            also=(("route", i, "balance"),),
        )
    for j, other in enumerate(world.config.route[:i]):
        if other.sticky is not None and other.sticky.cookie == it.cookie and (host := common(route, other)):
            world.refuse(
                "route/sticky",
                (*key, "cookie"),
                f"routes {other.name!r} and {route.name!r} stick by one cookie at {host}: each would undo the other's",
                f'cookie = "{it.cookie}-{i}"',
                also=(("route", j, "sticky", "cookie"),),
            )
            break
    if len(backends(route)) == 1:
        world.warn(
            "route/sticky",
            key,
            f"route {route.name!r} sticks by a cookie, and has one backend",
            "remove sticky",
            "or name another backend in to",
            also=(("route", i, "to"),),
        )


def zones(world: World, i: int, route: Route) -> None:
    """Whether the zones of its backends are names that an edge can have, and tell some from others."""
    entries = backends(route)
    for j, backend in enumerate(entries):
        if backend.zone is not None and not names.ZONE.fullmatch(backend.zone):
            world.refuse(
                "config/wrong-value",
                ("route", i, "to", j, "zone"),
                f"route {route.name!r} has a backend in the zone {backend.zone!r}",
                'write a name of letters, digits, "-", "_" and ".": zone = "eu-west-1a"',
            )
    if len({backend.zone for backend in entries}) == 1 and entries[0].zone is not None:
        world.warn(
            "route/nothing-to-do",
            ("route", i, "to", 0, "zone"),
            f"route {route.name!r} has all its backends in the zone {entries[0].zone!r}: none comes before another",
            "remove zone",
            "or name those that are elsewhere, with their zones",
            of_key=True,
        )


def common(one: Route, other: Route) -> str | None:
    """A name, or a pattern of names, that both serve."""

    def within(name: str, pattern: str) -> bool:
        return name == pattern or names.below(name, pattern)

    def hosts(it: Route) -> list[str]:
        return [host for text in it.hosts if (host := names.served(text)) is not None]

    pairs = [(mine, theirs) for mine in hosts(one) for theirs in hosts(other)]
    return next((a if within(a, b) else b for a, b in pairs if within(a, b) or within(b, a)), None)


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

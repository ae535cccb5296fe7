"""Which checks a request of a route passes, in the order of the engine's own list. Read next: `order.rs` of `everyhop-record`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from everyhop.plan import AtBackend, AtEdge, Here, Limiter, Plan, Route, Way
from everyhop.plan.limiter import KeyClaim, KeyClientAddress, KeyUser
from everyhop.plan.log import OwnLog
from everyhop.screen import few


@dataclass(frozen=True)
class Checked:
    """One check. `here`: what the route has for it to ask, in a few words; empty where it is the same for all."""

    name: str
    asks: str
    here: str
    slugs: tuple[str, ...]


def checks(plan: Plan, route: Route) -> list[Checked]:
    """Those that the route has; none where the edge sees no request."""
    from everyhop import _door

    way = route.way
    if isinstance(way, AtBackend):
        # Where a connection comes from is seen also where nothing of it is read.
        here = networks(plan, route, way)
        return [
            Checked(name, asks, here, tuple(slugs))
            for name, asks, slugs in _door.checks()
            if name == "networks" and here
        ]
    found = []
    for name, asks, slugs in _door.checks():
        if way.is_stream and name not in OF_STREAMS:
            continue
        here = HERE[name](plan, route, way)
        if here is not None:
            found.append(Checked(name, asks, here, tuple(slugs)))
    return found


OF_STREAMS = frozenset({"log", "session", "route", "networks", "clients", "own-log", "acceptance"})
"""What can be asked of a connection that is not read."""


def always(_: Plan, __: Route, ___: AtEdge | Here) -> str:
    return ""


def log(plan: Plan, _: Route, __: AtEdge | Here) -> str | None:
    """Only where nothing passes without its line."""
    return "" if plan.log.on_full == "refuse" and plan.log.access.place is not None else None


def networks(_: Plan, __: Route, way: Way) -> str | None:
    return None if way.allow_networks is None else few(way.allow_networks)


def clients(_: Plan, __: Route, way: AtEdge | Here) -> str | None:
    return None if way.allow_clients is None else ", ".join(way.allow_clients) or "none"


def path(_: Plan, __: Route, way: AtEdge | Here) -> str | None:
    if isinstance(way, Here):
        return None
    moved = {"as_it_came": "", "moved": "moved", "rewritten": "rewritten", "fixed": "replaced"}[way.target.kind]
    said = [*(["paths = strict"] if way.paths == "strict" else []), *([moved] if moved else [])]
    return ", ".join(said) or None


def upgrade(_: Plan, __: Route, way: AtEdge | Here) -> str | None:
    return None if isinstance(way, Here) else ", ".join(way.upgrades) or "none is taken"


def is_by_address(it: Limiter) -> bool:
    """As the engine has it: each address by itself, and nothing that a token or a password says."""
    kinds = [type(part) for part in it.by]
    return KeyClientAddress in kinds and KeyClaim not in kinds and KeyUser not in kinds


def limited(*, first: bool) -> Callable[[Plan, Route, AtEdge | Here], str | None]:
    """Those by address are asked first where the route wants a token or a password, else all together."""

    def of(_: Plan, __: Route, way: AtEdge | Here) -> str | None:
        if isinstance(way, Here):
            return None
        chosen = [
            it
            for it in way.limited_by
            if ((way.jwt is not None or way.basic is not None) and is_by_address(it)) == first
        ]
        said = [f"{it.name} ({it}{'' if it.mode == 'refuse' else '; observed alone'})" for it in chosen]
        return "; ".join(said) or None

    return of


def token(_: Plan, __: Route, way: AtEdge | Here) -> str | None:
    if isinstance(way, Here) or way.jwt is None:
        return None
    wants = f", with {', '.join(map(str, way.jwt.claims))}" if way.jwt.claims else ""
    return f"of {' or '.join(way.jwt.issuers)}, in {way.jwt.at}{wants}"


def password(_: Plan, __: Route, way: AtEdge | Here) -> str | None:
    if isinstance(way, Here) or way.basic is None:
        return None
    count = (
        "" if way.basic.names is None else f", {len(way.basic.names)} user{'' if len(way.basic.names) == 1 else 's'}"
    )
    return f"of {way.basic.file}{count}"


def own_log(plan: Plan, route: Route, _: AtEdge | Here) -> str | None:
    place = route.log.access.place if isinstance(route.log, OwnLog) else None
    return "" if plan.log.on_full == "refuse" and place not in (None, plan.log.access.place) else None


def body(plan: Plan, route: Route, _: AtEdge | Here) -> str | None:
    most = plan.limits.body_bytes if route.limits.body_bytes is None else route.limits.body_bytes
    return f"{most} bytes" if most else None


def preflight(_: Plan, __: Route, way: AtEdge | Here) -> str | None:
    return None if isinstance(way, Here) or way.cors is None else ""


def ask(plan: Plan, _: Route, way: AtEdge | Here) -> str | None:
    if isinstance(way, Here) or way.ask is None:
        return None
    return way.ask


def waf(plan: Plan, _: Route, way: AtEdge | Here) -> str | None:
    """One that only detects refuses nothing, and is no check."""
    it = next((it for it in plan.wafs if isinstance(way, AtEdge) and it.name == way.waf), None)
    if it is None or it.mode == "detect":
        return None
    left_out = f", {len(it.exclude)} rule(s) left out" if it.exclude else ""
    return f"{it.name}, paranoia {it.paranoia}, {it.body_bytes} bytes of a body{left_out}"


def turn(_: Plan, __: Route, way: AtEdge | Here) -> str | None:
    if isinstance(way, Here) or way.most is None or way.most.requests is None:
        return None
    return f"{way.most.requests} at once, {way.most.waiting} waiting for {way.most.wait_s} s at most"


def acceptance(_: Plan, __: Route, way: AtEdge | Here) -> str | None:
    if isinstance(way, Here):
        return None
    words = [
        b.hop.reach.acceptance for b in way.backends if b.hop.tls == "plaintext" and b.hop.reach.kind == "accepted"
    ]
    return "; ".join(dict.fromkeys(f"of {it.owner}, until {it.until}" for it in words)) or None


HERE: dict[str, Callable[[Plan, Route, AtEdge | Here], str | None]] = {
    "head": always,
    "log": log,
    "session": always,
    "route": always,
    "networks": networks,
    "clients": clients,
    "path": path,
    "upgrade": upgrade,
    "address-limits": limited(first=True),
    "password": password,
    "token": token,
    "own-log": own_log,
    "body": body,
    "preflight": preflight,
    "limits": limited(first=False),
    "ask": ask,
    "waf": waf,
    "turn": turn,
    "acceptance": acceptance,
}
"""What each check has to ask at a route; `None`: it is not there."""


BLIND = (
    "TLS passes through, and the edge sees no request: it checks none. The server name of a hello decides where a connection "
    "goes, and the backend checks what is in it."
)


def about_checks(plan: Plan, route: Route) -> tuple[str, list[tuple[str, str]]]:
    """What stands above, and a row a check: its number and name, and what it asks."""
    found = checks(plan, route)
    if not found:
        return f"{route.name}: {BLIND}", []
    if isinstance(route.way, AtBackend):
        found_here = "; ".join(f"{it.asks}: {it.here}  [{reasons(it.slugs)}]" for it in found)
        return f"{route.name}: {BLIND} Before a backend is connected to, the edge checks that {found_here}.", []
    one = "a connection" if route.way.is_stream else "a request"
    wide = max(len(it.name) for it in found)
    above = f"{route.name}: {one} passes these checks, in this order. The first that refuses ends its way; those behind do not run."
    rows = [
        (f"  {n:2}  {it.name.ljust(wide)}  ", f"{it.asks}{f': {it.here}' if it.here else ''}  [{reasons(it.slugs)}]")
        for n, it in enumerate(found, 1)
    ]
    return above, rows


def reasons(slugs: tuple[str, ...]) -> str:
    """By name where they are few."""
    if len(slugs) <= 2:
        return ", ".join(slugs)
    families = dict.fromkeys(it.partition("/")[0] for it in slugs)
    return f"{len(slugs)} reasons, {', '.join(f'{it}/...' for it in families)}"

"""A route as one line: who speaks TLS with whom, and who can read it. Used by `check`, `status` and `where`.

Plaintext has a mark and a word of its own, so that nobody needs a colour to see it.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

from everyhop.plan import (
    STRENGTH,
    AtBackend,
    AtEdge,
    Backend,
    Given,
    Here,
    Listener,
    Plan,
    Route,
    WhenDownPass,
    heard,
    in_the_clear,
    weakest,
)
from everyhop.screen import Paint, Part, paint_all, width, wrapped
from everyhop.trust import asking, collecting, counting, keyed
from everyhop.trust.inspection import waf_of

WIRE = {"mutual": "=mTLS=", "reencrypt": "=TLS=", "plaintext": "-!plaintext!-"}
OPEN = re.compile(re.escape(WIRE["plaintext"]))


@dataclass(frozen=True)
class Front:
    """The way from clients to a route."""

    open_at: tuple[Listener, ...] = ()
    """Listeners by which requests come in the clear."""
    encrypted_too: bool = True
    """There are others."""

    @property
    def wire(self) -> str:
        if not self.open_at:
            return "=TLS="
        return f"=TLS= or {WIRE['plaintext']}" if self.encrypted_too else WIRE["plaintext"]

    @property
    def readers(self) -> list[str]:
        return ["the clients' network" if it.acceptance else "this host" for it in self.open_at]


SHUT = Front()


def fronts(plan: Plan) -> dict[str, Front]:
    """By route, where requests come to some in the clear."""
    clear = in_the_clear(plan)
    by = heard(plan) if clear else {}
    return {plan.routes[i].name: Front(tuple(its), len(by[i]) > len(its)) for i, its in clear.items()}


def hops(route: Route, front: Front = SHUT) -> str:
    """`client =TLS= edge -!plaintext!- 10.0.3.9:3000`: with every backend, the weakest first."""
    way = route.way
    if isinstance(way, AtBackend):
        return f"client =TLS===(edge)===> {', '.join(map(str, way.backends))}"
    if isinstance(way, Here):
        return f"client {front.wire} edge, which answers {gives(way.gives)}"
    return f"client {front.wire} edge{' (tcp)' if way.is_stream else ''} {'; '.join(behind(way) + copies(way))}"


def gives(it: Given) -> str:
    """`308 to https://example.com{path}`, or the status alone."""
    return f"{it.status} to {''.join(map(str, it.location))}" if it.location else str(it.status)


def behind(way: AtEdge) -> list[str]:
    """The backends by how they are spoken with."""
    return spoken_with(way.backends)


def copies(way: AtEdge) -> list[str]:
    """Where copies of requests go."""
    return [f"copies {leg}" for leg in spoken_with(way.mirror.backends)] if way.mirror else []


def spoken_with(them: list[Backend]) -> list[str]:
    by: dict[str, list[str]] = {}
    for backend in sorted(them, key=lambda b: STRENGTH[b.hop.tls]):
        by.setdefault(WIRE[backend.hop.tls], []).append(str(backend.at))
    return [f"{wire} {', '.join(at)}" for wire, at in by.items()]


def marked(text: str) -> tuple[Part, ...]:
    """`text` with plaintext in the colour of danger."""
    return paint_all(text, OPEN, "red")


def is_open(route: Route, front: Front = SHUT) -> bool:
    """Whether anything of it comes or goes on unencrypted."""
    return bool(front.open_at) or (isinstance(route.way, AtEdge) and weakest(route.way).hop.tls == "plaintext")


def readers(route: Route, front: Front = SHUT) -> str:
    """Each once, on whichever side of the edge it reads."""
    way, named = route.way, ["edge"]
    if isinstance(way, AtBackend):
        return "only the ends"
    if isinstance(way, AtEdge) and (hop := weakest(way).hop).tls == "plaintext":
        named.append("this host" if hop.reach.kind == "same_host" else "that network")
    named += front.readers
    if isinstance(way, AtEdge) and way.mirror:
        named.append("the mirror")
    return ", ".join(dict.fromkeys(named))


def told(plan: Plan, route: Route) -> str:
    """`otel =mTLS= 10.0.0.5:4318`: a collector that is told of its requests; empty where none is."""
    to = collecting(plan, route)
    return f"{to.name} " + "; ".join(f"{WIRE[pattern]} {at}" for at, pattern in to.hops) if to else ""


def keys_from(plan: Plan, route: Route) -> str:
    """`corp =TLS= login.example.com:443`: who says whose tokens pass; empty where keys stand in files."""
    return "; ".join(f"{it.name} {WIRE[it.pattern]} {it.at}" for it in keyed(plan, route))


def asked(plan: Plan, route: Route) -> str:
    """`sso =mTLS= 10.0.0.5:4180`: whoever is asked about its requests; empty where nobody is."""
    to = asking(plan, route)
    if to is None:
        return ""
    down = f"; PASSES UNASKED while it is down, until {to.unasked[1]}" if to.unasked else ""
    return f"{to.name} " + "; ".join(f"{WIRE[pattern]} {at}" for at, pattern in to.hops) + down


def inspects(plan: Plan, route: Route) -> str:
    """`crs, paranoia 1`: the rules by which its requests are inspected; empty where they are not."""
    it = waf_of(plan, route)
    if it is None:
        return ""
    does = "" if it.mode == "block" else "; ONLY DETECTS"
    gone = f"; {len(it.exclude)} rule(s) left out" if it.exclude else ""
    down = ""
    if isinstance(it.when_down, WhenDownPass) and it.mode == "block":
        down = f"; PASSES UNINSPECTED while it is down, until {it.when_down.acceptance.until}"
    return f"{it.name}, paranoia {it.paranoia}{does}{gone}{down}"


def counted(plan: Plan, route: Route) -> list[str]:
    """`counters =mTLS= 10.0.0.5:6379`: where its requests are counted together with other edges."""
    return [f"{it.name} " + "; ".join(f"{WIRE[p]} {at}" for at, p in it.hops) for it in counting(plan, route)]


def closes_at(route: Route) -> dt.datetime | None:
    """When the route's first acceptance ends."""
    way = route.way
    if not isinstance(way, AtEdge):
        return None
    ends = [
        b.hop.reach.acceptance.closes_at_s
        for b in way.behind
        if b.hop.tls == "plaintext" and b.hop.reach.kind == "accepted"
    ]
    return dt.datetime.fromtimestamp(min(ends), dt.UTC) if ends else None


def days_left(route: Route, now: dt.datetime) -> str:
    ends = closes_at(route)
    if ends is None:
        return ""
    left = ends - now
    if left <= dt.timedelta():
        return "CLOSED: acceptance ended"
    if left < dt.timedelta(days=1):
        return f"{int(left.total_seconds() // 60)} minutes left"
    return f"{left.days} days left"


def table(plan: Plan, now: dt.datetime) -> list[tuple[Part, ...]]:
    """One line a route, in columns; where one would not fit, a route on lines of its own."""
    by = fronts(plan)
    each = [(r, by.get(r.name, SHUT)) for r in plan.routes]
    whom = {r.name: f"; told: {to}" if (to := told(plan, r)) else "" for r in plan.routes}
    for r in plan.routes:
        whom[r.name] += f"; asks: {to}" if (to := asked(plan, r)) else ""
        whom[r.name] += f"; inspected by: {by_waf}" if (by_waf := inspects(plan, r)) else ""
        whom[r.name] += "".join(f"; counted at: {to}" for to in counted(plan, r))
    rows = [
        (r.name, hops(r, front), f"read by: {readers(r, front)}{whom[r.name]}", days_left(r, now)) for r, front in each
    ]
    bare = WIRE["plaintext"]
    signs = [
        Paint("!!", "red") if is_open(r, front) or bare in whom[r.name] else Paint("ok", "green") for r, front in each
    ]
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(3)]
    lines = [
        "  ".join(cell.ljust(column) for cell, column in zip(row, [*widths, 0], strict=True)).rstrip() for row in rows
    ]
    if all(len(text) + len("ok  ") <= width() for text in lines):
        return [(sign, "  ", *marked(text)) for sign, text in zip(signs, lines, strict=True)]
    out: list[tuple[Part, ...]] = []
    for sign, (name, way, read, left) in zip(signs, rows, strict=True):
        out.append((sign, "  ", name))
        said = wrapped(way, 10, "      ").split("\n") + wrapped(
            "  ".join(filter(None, (read, left))), 10, "      "
        ).split("\n")
        out += [marked(text) for text in said]
    return out

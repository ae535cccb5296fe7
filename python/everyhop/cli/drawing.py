"""A route as one line: who speaks TLS with whom, and who can read it. Used by `check`, `status` and `where`.

Plaintext has a mark and a word of its own, so that nobody needs a colour to see it.
"""

from __future__ import annotations

import datetime as dt
import re

from everyhop.plan import STRENGTH, AtBackend, AtEdge, Given, Here, Plan, Route, weakest
from everyhop.screen import Paint, Part, paint_all, width, wrapped

WIRE = {"mutual": "=mTLS=", "reencrypt": "=TLS=", "plaintext": "-!plaintext!-"}
OPEN = re.compile(re.escape(WIRE["plaintext"]))


def hops(route: Route) -> str:
    """`client =TLS= edge -!plaintext!- 10.0.3.9:3000`: with every backend, the weakest first."""
    way = route.way
    if isinstance(way, AtBackend):
        return f"client =TLS===(edge)===> {', '.join(map(str, way.backends))}"
    if isinstance(way, Here):
        return f"client =TLS= edge, which answers {gives(way.gives)}"
    return f"client =TLS= edge{' (tcp)' if way.is_stream else ''} {'; '.join(behind(way))}"


def gives(it: Given) -> str:
    """`308 to https://example.com{path}`, or the status alone."""
    return f"{it.status} to {''.join(map(str, it.location))}" if it.location else str(it.status)


def behind(way: AtEdge) -> list[str]:
    """The backends by how they are spoken with."""
    by: dict[str, list[str]] = {}
    for backend in sorted(way.backends, key=lambda b: STRENGTH[b.hop.tls]):
        by.setdefault(WIRE[backend.hop.tls], []).append(str(backend.at))
    return [f"{wire} {', '.join(at)}" for wire, at in by.items()]


def marked(text: str) -> tuple[Part, ...]:
    """`text` with plaintext in the colour of danger."""
    return paint_all(text, OPEN, "red")


def is_open(route: Route) -> bool:
    """Whether anything of it goes on unencrypted."""
    return isinstance(route.way, AtEdge) and weakest(route.way).hop.tls == "plaintext"


def readers(route: Route) -> str:
    way = route.way
    if isinstance(way, AtBackend):
        return "only the ends"
    if isinstance(way, Here):
        return "edge"
    hop = weakest(way).hop
    if hop.tls != "plaintext":
        return "edge"
    return "edge, this host" if hop.reach.kind == "same_host" else "edge, that network"


def closes_at(route: Route) -> dt.datetime | None:
    """When the route's first acceptance ends."""
    way = route.way
    if not isinstance(way, AtEdge):
        return None
    ends = [
        b.hop.reach.acceptance.closes_at_s
        for b in way.backends
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
    rows = [(r.name, hops(r), f"read by: {readers(r)}", days_left(r, now)) for r in plan.routes]
    signs = [Paint("!!", "red") if is_open(r) else Paint("ok", "green") for r in plan.routes]
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(3)]
    told = [
        "  ".join(cell.ljust(column) for cell, column in zip(row, [*widths, 0], strict=True)).rstrip() for row in rows
    ]
    if all(len(text) + len("ok  ") <= width() for text in told):
        return [(sign, "  ", *marked(text)) for sign, text in zip(signs, told, strict=True)]
    out: list[tuple[Part, ...]] = []
    for sign, (name, way, read, left) in zip(signs, rows, strict=True):
        out.append((sign, "  ", name))
        said = wrapped(way, 10, "      ").split("\n") + wrapped(
            "  ".join(filter(None, (read, left))), 10, "      "
        ).split("\n")
        out += [marked(text) for text in said]
    return out

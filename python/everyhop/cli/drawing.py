"""A route as one line: who speaks TLS with whom, and who can read it. Used by `check`, `status` and `where`."""

from __future__ import annotations

import datetime as dt

from everyhop.plan import AtBackend, Plan, Route, weakest

TLS, OPEN, BOTH = "=TLS=", "-open-", "=mTLS="


def several(first: str, count: int) -> str:
    return first if count == 1 else f"{first} +{count - 1}"


def hops(route: Route) -> str:
    """`client =TLS= edge -open- 10.0.3.9:3000`"""
    way = route.way
    if isinstance(way, AtBackend):
        return f"client =TLS===(edge)===> {several(str(way.backends[0]), len(way.backends))}"
    backend = weakest(way)
    wire = {"mutual": BOTH, "reencrypt": TLS, "plaintext": OPEN}[backend.hop.tls]
    return f"client {TLS} edge {wire} {several(str(backend.at), len(way.backends))}"


def readers(route: Route) -> str:
    way = route.way
    if isinstance(way, AtBackend):
        return "only the ends"
    hop = weakest(way).hop
    if hop.tls != "plaintext":
        return "edge"
    return "edge, this host" if hop.reach.kind == "same_host" else "edge, that network"


def closes_at(route: Route) -> dt.datetime | None:
    """When the route's first acceptance ends."""
    way = route.way
    if isinstance(way, AtBackend):
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


def table(plan: Plan, now: dt.datetime) -> list[str]:
    """One line a route, in columns."""
    rows = [(r.name, hops(r), f"read by: {readers(r)}", days_left(r, now)) for r in plan.routes]
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(3)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)).rstrip() for row in rows
    ]

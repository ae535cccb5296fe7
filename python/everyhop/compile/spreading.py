"""How a route's backends share what comes, as its file has it and as the plan has it. Pure. Read next: `rules_spread.py`."""

from __future__ import annotations

from everyhop import plan
from everyhop.compile.health import health
from everyhop.compile.world import backends
from everyhop.model import Route

PREFIX = "__Host-"
"""With this name a cookie is of one host, by https, for all paths (RFC 6265bis §4.1.3.2): no other host can set it."""
WORDS = ("round-robin", "least-requests", "least-connections", "hash:client-address", "hash:path")
NAMED = ("hash:header:", "hash:cookie:")


def spread(it: Route) -> plan.Spread | None:
    """`None` where they take turns, one like the other, and nobody asks how they are: then nothing is counted and nothing weighed."""
    shares = [
        plan.Share(weight=1 if b.weight is None else b.weight, backup=b.backup, zone=b.zone) for b in backends(it)
    ]
    balance = it.balance or "round-robin"
    asked, slow_start_s = health(it), it.slow_start_s or 0
    alike = all(s.weight == shares[0].weight > 0 and not s.backup and s.zone is None for s in shares)
    if balance == "round-robin" and alike and it.sticky is None and asked is None and not slow_start_s:
        return None
    return plan.Spread(by=by(balance), shares=shares, sticky=sticky(it), health=asked, slow_start_s=slow_start_s)


def sticky(it: Route) -> plan.Sticky | None:
    return None if it.sticky is None else plan.Sticky(cookie=PREFIX + it.sticky.cookie)


def by(
    balance: str,
) -> plan.ByTurns | plan.ByLeast | plan.ByClientAddress | plan.ByHeader | plan.ByCookie | plan.ByPath:
    match balance.split(":", 2):
        case ["round-robin"]:
            return plan.ByTurns(kind="turns")
        case ["least-requests" | "least-connections"]:
            return plan.ByLeast(kind="least")
        case ["hash", "client-address"]:
            return plan.ByClientAddress(kind="client_address")
        case ["hash", "header", name]:
            return plan.ByHeader(kind="header", name=name.lower())
        case ["hash", "cookie", name]:
            return plan.ByCookie(kind="cookie", name=name)
    assert balance == "hash:path", "judged before"
    return plan.ByPath(kind="path")


def reads_requests(balance: str) -> bool:
    """Only where requests are read can a backend be chosen so."""
    return balance == "hash:path" or balance.startswith(NAMED)

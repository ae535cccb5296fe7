"""Limits by key, as the file has them and as the plan has them: each whole at every route that names it. Pure. Read next:
`rules_limits.py`."""

from __future__ import annotations

import re
from collections.abc import Iterable

from everyhop import plan
from everyhop.model import Config, Limit, Route

RATE = re.compile(r"([0-9]{1,7})/(s|m|h|d)")
PER_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
MOST = 1_000_000
"""Requests of a rate; a step is then 1 us at the least."""
WORDS = ("client-address", "client-name", "host", "route", "user")
NAMED = ("header:", "cookie:", "claim:")


def rate(text: str) -> tuple[int, int] | None:
    """The number and its seconds."""
    found = RATE.fullmatch(text)
    if found is None or not 1 <= int(found[1]) <= MOST:
        return None
    return int(found[1]), PER_S[found[2]]


def limited_by(config: Config, route: Route) -> list[plan.Limiter]:
    """In the order in which the route names them."""
    by_name = {it.name: it for it in config.limit}
    return [limiter(by_name[name], config.limits.source_ipv6_prefix) for name in dict.fromkeys(route.limited_by or [])]


def limiter(it: Limit, ipv6_prefix: int) -> plan.Limiter:
    given = rate(it.rate) if it.rate is not None else None
    return plan.Limiter(
        name=it.name,
        rate=None if given is None else plan.Rate(count=given[0], per_s=given[1], burst=it.burst or given[0]),
        at_once=it.at_once,
        by=parts(it.by),
        ipv6_prefix=it.ipv6_prefix or ipv6_prefix,
        keys=it.keys,
        mode=it.mode,
        shared=plan.Shared(store=it.store, when_down=it.when_store_down) if it.store is not None else None,
        tells=it.tells,
        x_ratelimit=it.x_ratelimit,
    )


def parts(by: Iterable[str]) -> list[plan.KeyPart]:
    """Each once, in an order that does not hang on the file's."""
    each = {part if part.startswith(("cookie:", "claim:")) else part.lower() for part in by}
    return [part(text) for text in sorted(each)]


def part(text: str) -> plan.KeyPart:
    match text.split(":", 1):
        case ["client-address"]:
            return plan.KeyClientAddress(kind="client_address")
        case ["client-name"]:
            return plan.KeyClientName(kind="client_name")
        case ["host"]:
            return plan.KeyHost(kind="host")
        case ["user"]:
            return plan.KeyUser(kind="user")
        case ["header", name]:
            return plan.KeyHeader(kind="header", name=name)
        case ["cookie", name]:
            return plan.KeyCookie(kind="cookie", name=name)
        case ["claim", name]:
            return plan.KeyClaim(kind="claim", path=name.split("."))
    assert text == "route", "judged before"
    return plan.KeyRoute(kind="route")

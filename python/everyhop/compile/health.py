"""A route's health check, as its file has it and as the plan has it. Pure. Read next: `rules_health.py`."""

from __future__ import annotations

import re

from everyhop import plan
from everyhop.compile import names
from everyhop.model import Route

USUAL = "200-299"
RANGE = re.compile(r"\s*([1-5][0-9][0-9])\s*(?:-\s*([1-5][0-9][0-9])\s*)?", re.ASCII)


def health(it: Route) -> plan.HealthCheck | None:
    given = it.health
    if given is None:
        return None
    asks: plan.AsksConnect | plan.AsksHttp | plan.AsksGrpc = plan.AsksConnect(kind="connect")
    if given.path is not None:
        found = statuses(given.status or USUAL)
        assert found is not None, "judged before"
        asks = plan.AsksHttp(kind="http", host=asked_host(it) or "", path=given.path, statuses=found, body=given.body)
    elif given.grpc is not None:
        asks = plan.AsksGrpc(kind="grpc", host=asked_host(it) or "", service=given.grpc)
    return plan.HealthCheck(
        asks=asks,
        every_s=given.every_s,
        timeout_s=given.timeout_s,
        down_after=given.down_after,
        up_after=given.up_after,
    )


def asked_host(it: Route) -> str | None:
    """Whom a check asks for; `None` where nothing says it."""
    assert it.health is not None
    given = it.health.host or it.host_header
    if given is not None:
        return names.authority(given)
    return next((host for text in it.hosts if (host := names.host(text)) is not None), None)


def statuses(text: str) -> list[plan.Statuses] | None:
    """`None` for what names none."""
    found = []
    for part in text.split(","):
        match = RANGE.fullmatch(part)
        if match is None:
            return None
        first, last = int(match[1]), int(match[2] or match[1])
        if first > last or first < 200:
            return None
        found.append(plan.Statuses(first=first, last=last))
    return found

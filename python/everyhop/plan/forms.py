"""The compiled plan, as the engine reads it: every key present, every choice tagged, nothing with a default.

It mirrors the Rust crate `everyhop-plan`; golden plans hold the two together. Read next: `route.py`.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal

from pydantic import Field

from everyhop.plan.authorizer import Authorizer
from everyhop.plan.collector import Collector, Traces
from everyhop.plan.listener import Listener
from everyhop.plan.log import Log, OwnLog
from everyhop.plan.part import Part
from everyhop.plan.route import Route
from everyhop.plan.settings import Engine, ErrorPage, Limits, StatusBound, StatusOff
from everyhop.plan.site import Identity, Site
from everyhop.plan.store import Store
from everyhop.plan.tickets import Tickets
from everyhop.plan.token import Issuer
from everyhop.plan.told import Always, Never
from everyhop.plan.waf import Waf

FORM = 1


class Plan(Part):
    plan: Never[Literal[1]]
    engine: Always[Engine]
    log: Always[Log]
    status: Always[Annotated[StatusOff | StatusBound, Field(discriminator="kind")]]
    limits: Always[Limits]
    tickets: Always[Tickets | None]
    pages: Always[list[ErrorPage]]
    collectors: Never[list[Collector]]  # one matters where something is sent to it
    traces: Always[Traces | None]
    stores: Never[list[Store]]  # one matters where a limit is counted in it
    listeners: Always[list[Listener]]
    sites: Always[list[Site]]
    identities: Never[list[Identity]]  # an identity matters where a hop presents it
    issuers: Never[list[Issuer]]  # one matters where a route believes it
    authorizers: Never[list[Authorizer]]  # one matters where a route asks it
    wafs: Never[list[Waf]]  # one matters where a route names it
    routes: Always[list[Route]]

    @property
    def named_listeners(self) -> set[str]:
        """Those that a site or a route names, and those that serve in the clear, which let reach what they alone can; the others
        let reach what names none."""
        sites, routes = (it.listeners or [] for it in self.sites), (it.listeners or [] for it in self.routes)
        own = {it.name for it in self.listeners if it.serves_plain}
        return own | {name for named in (*sites, *routes) for name in named}

    @property
    def log_places(self) -> list[str]:
        """Every place that lines of the access log go to, once."""
        own = (route.log.access.place for route in self.routes if isinstance(route.log, OwnLog))
        return [place for place in dict.fromkeys((self.log.access.place, *own)) if place is not None]


def canonical(value: object) -> str:
    """Sorted keys, no spaces, UTF-8, no floats."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class DoubledKey(ValueError):
    """A key occurs twice."""


def read_plan(text: str) -> Plan:
    """Reads a plan as strictly as the engine does.

    Raises `ValueError`.
    """

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise DoubledKey("a key occurs twice")
        return found

    return Plan.model_validate(json.loads(text, object_pairs_hook=once))

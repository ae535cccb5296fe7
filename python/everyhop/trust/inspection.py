"""By which rules a route's requests are inspected, and what passes uninspected. Read next: `map.py`, which puts it beside the rest."""

from __future__ import annotations

from dataclasses import dataclass

from everyhop.plan import AtEdge, Exclusion, Plan, Route, Waf, WhenDownPass


@dataclass(frozen=True)
class Inspected:
    """By one policy."""

    name: str
    blocks: bool
    left_out: tuple[Exclusion, ...]
    """Rules that are not asked of some requests, by somebody's word."""
    uninspected: tuple[str, str] | None
    """Whose word it is that requests pass where nobody inspects them, and until when."""
    sentence: str

    @property
    def reads(self) -> str:
        return f"the inspector of waf {self.name}, on this host"


def waf_of(plan: Plan, route: Route) -> Waf | None:
    way = route.way
    if not isinstance(way, AtEdge) or way.waf is None:
        return None
    return next((it for it in plan.wafs if it.name == way.waf), None)


def inspected(plan: Plan, route: Route) -> Inspected | None:
    """Nothing where its requests are not inspected."""
    it = waf_of(plan, route)
    if it is None:
        return None
    down = it.when_down.acceptance if isinstance(it.when_down, WhenDownPass) else None
    return Inspected(
        name=it.name,
        blocks=it.mode == "block",
        left_out=tuple(it.exclude),
        uninspected=(down.owner, down.until) if down else None,
        sentence=sentence(it),
    )


def sentence(it: Waf) -> str:
    extra = f", and by {' and '.join(it.extra)}" if it.extra else ""
    by = f"Waf {it.name} inspects each of its requests by the OWASP Core Rule Set, paranoia level {it.paranoia}{extra}"
    where = "in a process of its own on this host, which reads the whole head and what the body begins with"
    over = f"A body of more than {it.body_bytes} bytes is refused with 413."
    if it.over_body == "pass-inspected":
        over = f"OF A BODY ONLY THE FIRST {it.body_bytes} BYTES ARE INSPECTED: what follows goes on unseen."
    if it.mode == "detect":
        does = "It only detects: NOTHING IS REFUSED by it, and what the rules would deny is told in the log."
        if it.over_body == "refuse":
            over = f"A body of more than {it.body_bytes} bytes is not inspected."
        return " ".join([f"{by}, {where}. {does} {over}", *map(taken_back, it.exclude)])
    does = "What the rules deny is refused with 403; what is not inspected, or not in time, with 503."
    if isinstance(it.when_down, WhenDownPass):
        word = it.when_down.acceptance
        does = (
            "What the rules deny is refused with 403. Where the inspector is not there, or has too much to do, a request PASSES "
            f"UNINSPECTED: {word.owner} accepted that until {word.until} ({word.why})."
        )
    return " ".join([f"{by}, {where}. {does} {over}", *map(taken_back, it.exclude)])


def taken_back(it: Exclusion) -> str:
    of = it.of[0].upper() + it.of[1:]
    return f"{of}, is not asked: {it.owner} accepted that until {it.until} ({it.why})."

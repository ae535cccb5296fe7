"""Who is asked whether a route's requests may pass: by which hop, what it is shown, and what becomes of them without its word. Read
next: `map.py`, which puts it beside the rest."""

from __future__ import annotations

from dataclasses import dataclass

from everyhop.plan import AtEdge, Authorizer, PlaintextHop, Plan, Route, SpeaksHttp, WhenDownPass


@dataclass(frozen=True)
class Asking:
    """One that decides."""

    name: str
    hops: tuple[tuple[str, str], ...]
    """Each of its addresses, and the pattern of the hop there."""
    accepted: tuple[str, str] | None
    """Whose word the plaintext there is, and until when."""
    unasked: tuple[str, str] | None
    """Whose word it is that requests pass where it cannot be asked, and until when."""
    sentence: str

    @property
    def reads(self) -> str:
        return f"authorizer {self.name}, of heads"


def authorizer_of(plan: Plan, route: Route) -> Authorizer | None:
    way = route.way
    if not isinstance(way, AtEdge) or way.ask is None:
        return None
    return next((it for it in plan.authorizers if it.name == way.ask), None)


def asking(plan: Plan, route: Route) -> Asking | None:
    """Nothing where nobody is asked."""
    it = authorizer_of(plan, route)
    if it is None:
        return None
    signed = [
        b.hop.reach.acceptance
        for b in it.backends
        if isinstance(b.hop, PlaintextHop) and b.hop.reach.kind == "accepted"
    ]
    down = it.when_down.acceptance if isinstance(it.when_down, WhenDownPass) else None
    return Asking(
        name=it.name,
        hops=tuple((str(b.at), b.hop.tls) for b in it.backends),
        accepted=next(((a.owner, a.until) for a in signed), None),
        unasked=(down.owner, down.until) if down else None,
        sentence=sentence(it),
    )


def sentence(it: Authorizer) -> str:
    where = ", ".join(f"{b.at} ({b.hop.tls})" for b in it.backends)
    shown = f", and its {listed(it.sends)}" if it.sends else ", and none of its fields"
    told = f" The backend is told its {listed(it.takes)}, whatever a client says there." if it.takes else ""
    down = "is refused with 503"
    if isinstance(it.when_down, WhenDownPass):
        word = it.when_down.acceptance
        down = f"PASSES UNASKED: {word.owner} accepted that until {word.until} ({word.why})"
    by = f"GET {it.speaks.target}" if isinstance(it.speaks, SpeaksHttp) else "gRPC, as Envoy asks (ext_authz v3)"
    passes = "2xx" if isinstance(it.speaks, SpeaksHttp) else "a status of OK"
    return (
        f"Authorizer {it.name} at {where} is asked about each of its requests, by {by}: it is shown what is asked for and "
        f"who asks{shown}; no body. It lets a request pass by {passes}; by 401, 403 or a redirect the client is told its answer.{told} "
        f"What it says nothing about within {it.deadline_ms / 1000:g} s {down}."
    )


def listed(names: list[str]) -> str:
    return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + names[-1]

"""Where a route's requests are counted together with other edges: by which hop, and what is seen there. Read next: `map.py`,
which puts it beside the rest."""

from __future__ import annotations

from dataclasses import dataclass

from everyhop.plan import AtEdge, PlaintextHop, Plan, Route, StoreEnvoy


@dataclass(frozen=True)
class Counting:
    """One that counts some of a route's requests."""

    name: str
    hops: tuple[tuple[str, str], ...]
    """Each of its addresses, and the pattern of the hop there."""
    accepted: tuple[str, str] | None
    """Whose word the plaintext there is, and until when."""
    kind: str
    """What is there, by the words in which it is asked."""
    does: str
    sentence: str

    @property
    def reads(self) -> str:
        return f"store {self.name}, of who comes"


def counting(plan: Plan, route: Route) -> tuple[Counting, ...]:
    """Nothing where all of its limits are counted by each edge alone."""
    if not isinstance(route.way, AtEdge):
        return ()
    limits: dict[str, list[str]] = {}
    for it in route.way.limited_by:
        if it.shared is not None:
            limits.setdefault(it.shared.store, []).append(it.name)
    return tuple(one(plan, name, by) for name, by in limits.items())


def one(plan: Plan, name: str, limits: list[str]) -> Counting:
    backends = [b for it in plan.stores if it.name == name for b in it.backends]
    accepted = [
        b.hop.reach.acceptance for b in backends if isinstance(b.hop, PlaintextHop) and b.hop.reach.kind == "accepted"
    ]
    where = ", ".join(f"{b.at} ({b.hop.tls})" for b in backends)
    kind, does, told = "Valkey or Redis", "counts who comes", ": it is told how many come of each key"
    speaks = next((it.speaks for it in plan.stores if it.name == name), None)
    if isinstance(speaks, StoreEnvoy):
        kind, does = "rate limits of Envoy's kind", "says who passes"
        told = f", and says of each by its own configuration of domain {speaks.domain} whether it passes: it is told of which key each comes"
    return Counting(
        name=name,
        hops=tuple((str(b.at), b.hop.tls) for b in backends),
        kind=kind,
        does=does,
        accepted=next(((a.owner, a.until) for a in accepted), None),
        sentence=f"Store {name} ({kind}) at {where} counts its requests for limit {' and '.join(limits)}{told}, "
        f"by a digest from which whoever has a list of addresses or names finds which come; nothing else of a request.",
    )

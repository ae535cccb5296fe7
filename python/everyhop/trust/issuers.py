"""Who says which tokens pass a route: the servers that its issuers' keys are fetched from, by which hop. Read next: `map.py`, which
puts it beside the rest."""

from __future__ import annotations

from dataclasses import dataclass

from everyhop.plan import AtEdge, ByPins, BySpiffe, KeysServer, PlaintextHop, Plan, Route


@dataclass(frozen=True)
class Keyed:
    """An issuer of whom the keys are fetched."""

    name: str
    at: str
    pattern: str
    url: str
    sentence: str


def keyed(plan: Plan, route: Route) -> tuple[Keyed, ...]:
    """Nothing where a route asks for no token, or keys stand in files."""
    if not isinstance(route.way, AtEdge) or route.way.jwt is None:
        return ()
    named = [it for it in plan.issuers if it.name in route.way.jwt.issuers]
    return tuple(
        Keyed(it.name, str(it.keys.backend.at), it.keys.backend.hop.tls, str(it.keys), sentence(it.name, it.keys))
        for it in named
        if isinstance(it.keys, KeysServer)
    )


def sentence(name: str, keys: KeysServer) -> str:
    hop = keys.backend.hop
    if isinstance(hop, PlaintextHop):
        how = "in plaintext that stays on this host: whatever runs there and can take that port says who gets in"
    else:
        known = (
            "its pinned certificate or key"
            if isinstance(hop.verify.by, ByPins)
            else f"chain and SPIFFE ID {hop.verify.by.id}"
            if isinstance(hop.verify.by, BySpiffe)
            else f"chain and name {hop.verify.name}"
        )
        how = f"by a hop that is {hop.tls}, known by {known}: who proves that says who gets in"
    return f"The keys of issuer {name} are fetched from {keys}, {how}. It is told nothing of requests."

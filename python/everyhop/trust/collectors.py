"""Who is told of a route's requests beside those who carry them: a collector of spans, by which hop, and of what. Read next:
`map.py`, which puts it beside the rest."""

from __future__ import annotations

from dataclasses import dataclass

from everyhop.plan import AtBackend, PlaintextHop, Plan, Route, Traces


@dataclass(frozen=True)
class Collecting:
    """One that is told of requests."""

    name: str
    hops: tuple[tuple[str, str], ...]
    """Each of its addresses, and the pattern of the hop there."""
    accepted: tuple[str, str] | None
    """Whose word the plaintext there is, and until when."""
    sentence: str

    @property
    def reads(self) -> str:
        return f"collector {self.name}, of paths"


def collecting(plan: Plan, route: Route) -> Collecting | None:
    """Nothing where requests are not read, or are told to nobody."""
    way, given = route.way, plan.traces
    if given is None or route.traces.kind == "never" or isinstance(way, AtBackend):
        return None
    if way.ends == "at_edge" and way.is_stream:
        return None
    backends = [b for it in plan.collectors if it.name == given.collector for b in it.backends]
    accepted = [
        b.hop.reach.acceptance for b in backends if isinstance(b.hop, PlaintextHop) and b.hop.reach.kind == "accepted"
    ]
    ppm = route.traces.ppm if route.traces.kind == "share" else given.ppm
    return Collecting(
        name=given.collector,
        hops=tuple((str(b.at), b.hop.tls) for b in backends),
        accepted=next(((a.owner, a.until) for a in accepted), None),
        sentence=sentence(given, [f"{b.at} ({b.hop.tls})" for b in backends], ppm)
        + (" Backends are told which trace it is part of." if way.ends == "at_edge" else ""),
    )


def sentence(given: Traces, where: list[str], ppm: int) -> str:
    query = "paths with their queries" if given.query else "paths without their queries"
    share = f"{ppm / 10_000:g} % of them" if ppm else "none of them otherwise"
    return (
        f"Collector {given.collector} at {', '.join(where)} is told of its requests: methods, hosts, {query}, statuses and times, "
        f"who asked, and what TLS came to on each hop; no field and no body. Of each that failed, was refused, went otherwise "
        f"than decided or was slow (after {given.slow_ms / 1000:g} s), and {share}."
    )

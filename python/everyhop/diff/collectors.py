"""Who is told of requests: a collector is a reader of methods, hosts and paths, and the hop to it is weighed as one to a backend."""

from __future__ import annotations

from everyhop.diff import acceptance
from everyhop.diff.ciphers import cipher_changes
from everyhop.diff.hops import Hop, asking, identity, pattern, rank, revocation, unsaid, verification
from everyhop.diff.kinds import KINDS, Change, either
from everyhop.plan import Acceptance, Collector, PlaintextHop, Plan, Route

KINDS.update(
    {
        "collector-added": ("weaker", "somebody is told of requests who was not"),
        "collector-removed": ("stronger", "somebody is told of requests no more"),
        "collector-hop-weakened": ("weaker", "the hop to a collector protects less"),
        "collector-hop-strengthened": ("stronger", "the hop to a collector protects more"),
        "collector-told-more": ("weaker", "a collector is told more of requests"),
        "collector-told-less": ("stronger", "a collector is told less of requests"),
        "traces-begun": ("weaker", "a collector is told of a route's requests"),
        "traces-ended": ("stronger", "a collector is told of a route's requests no more"),
    }
)

READS = "whoever runs it, or gets its data, reads methods, hosts, paths and who asked"
NO_MORE = "nobody there reads methods, hosts and paths"


def collector_of(plan: Plan) -> Collector | None:
    """The one that the plan's traces go to."""
    return next((it for it in plan.collectors if plan.traces and it.name == plan.traces.collector), None)


def is_told(plan: Plan, route: Route) -> bool:
    """A collector is told of its requests: where they are read."""
    reads = route.way.ends != "at_backend" and not (route.way.ends == "at_edge" and route.way.is_stream)
    return plan.traces is not None and reads and route.traces.kind != "never"


def collector_changes(old: Plan, new: Plan) -> list[Change]:
    a, b = hops(old), hops(new)
    about = f"collector/{new.traces.collector if new.traces else old.traces.collector if old.traces else ''}"
    if (old.traces is None) != (new.traces is None):
        if new.traces is None:
            return [Change("collector-removed", about, f"no collector is told of requests, {listed(a)} was", NO_MORE)]
        told = [Change("collector-added", about, f"requests are told to {listed(b)}", READS)]
        return told + acceptance.changes(about, {}, signed(b))
    if old.traces is None or new.traces is None:
        return []
    out = [
        Change("collector-added", about, f"requests are told to {at}, by a hop that is {pattern(b[at])}", READS)
        for at in sorted({*b} - {*a})
    ]
    out += [
        Change("collector-removed", about, f"requests are told to {at} no more", NO_MORE) for at in sorted({*a} - {*b})
    ]
    for at in sorted({*a} & {*b}):
        if rank(a[at]) != rank(b[at]):
            what = f"the hop to {at} was {pattern(a[at])}, now {pattern(b[at])}"
            kinds = ("collector-hop-weakened", "collector-hop-strengthened")
            so = ("what is told of requests is protected less on the way", "what is told of requests is protected more")
            out.append(either(rank(b[at]) < rank(a[at]), kinds, about, what, so))
        out += identity(about, at, (old, a[at]), (new, b[at]))
        x, y = a[at], b[at]
        if not isinstance(x, str | PlaintextHop) and not isinstance(y, str | PlaintextHop):
            out += cipher_changes(about, f"towards {at}", x.policy, y.policy)
    out += [*unsaid(about, a, b), *verification(about, a, b), *asking(about, a, b), *revocation(about, a, b)]
    if old.traces.query != new.traces.query:
        less = old.traces.query
        what = f"query strings are told {'no more' if less else 'as well'}"
        so = ("what stands there may be a secret, and is where the spans are", "no secret of a query gets there")
        out.append(either(not less, ("collector-told-more", "collector-told-less"), about, what, so))
    return out + acceptance.changes(about, signed(a), signed(b))


def traced(old: tuple[Plan, Route], new: tuple[Plan, Route]) -> list[Change]:
    """Of a route, where both plans have a collector: else that is told once for all."""
    was, now = is_told(*old), is_told(*new)
    if was == now or old[0].traces is None or new[0].traces is None:
        return []
    what = f"a collector is told of its requests{' no more' if was else ''}"
    return [either(now, ("traces-begun", "traces-ended"), new[1].name, what, (READS, NO_MORE))]


def hops(plan: Plan) -> dict[str, Hop]:
    found = collector_of(plan)
    return {str(b.at): b.hop for b in found.backends} if found else {}


def listed(by: dict[str, Hop]) -> str:
    return ", ".join(f"{at} ({pattern(hop)})" for at, hop in sorted(by.items())) or "nobody that is named"


def signed(by: dict[str, Hop]) -> dict[str, Acceptance]:
    return {
        at: hop.reach.acceptance
        for at, hop in by.items()
        if isinstance(hop, PlaintextHop) and hop.reach.kind == "accepted"
    }

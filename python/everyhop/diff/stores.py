"""Where limits are counted together: a store sees who comes and says who passes, and the hop to it is weighed as one to a backend."""

from __future__ import annotations

from everyhop.diff import acceptance
from everyhop.diff.ciphers import cipher_changes
from everyhop.diff.collectors import listed, signed
from everyhop.diff.hops import Hop, asking, identity, pattern, rank, revocation, unsaid, verification
from everyhop.diff.kinds import KINDS, Change, either
from everyhop.plan import AtEdge, PlaintextHop, Plan

KINDS.update(
    {
        "store-added": ("weaker", "somebody sees who comes who did not, and says how many pass"),
        "store-removed": ("stronger", "somebody sees no more who comes"),
        "store-hop-weakened": ("weaker", "the hop to a store protects less"),
        "store-hop-strengthened": ("stronger", "the hop to a store protects more"),
    }
)

SEES = "whoever runs it, or gets its data, can find out who comes, and how many pass"
NO_MORE = "nobody there sees who comes"


def store_changes(old: Plan, new: Plan) -> list[Change]:
    """Of those in which some limit of a route is counted."""
    was, now = hops(old), hops(new)
    out: list[Change] = []
    for before, name in renamed(was, now):
        out += one(f"store/{name}", (old, was.get(before, {})), (new, now.get(name, {})))
    return out


def renamed(was: dict[str, dict[str, Hop]], now: dict[str, dict[str, Hop]]) -> list[tuple[str, str]]:
    """Which is which: by its name, and where that is new by where it is; what it is called is silence."""
    gone = {frozenset(was[name]): name for name in sorted(was) if name not in now}
    come = [(gone.pop(frozenset(now[name]), name), name) for name in sorted(now) if name not in was]
    return [(name, name) for name in sorted({*was} & {*now})] + come + [(name, name) for name in gone.values()]


def one(about: str, old: tuple[Plan, dict[str, Hop]], new: tuple[Plan, dict[str, Hop]]) -> list[Change]:
    a, b = old[1], new[1]
    come, gone = ({at: hop for at, hop in x.items() if at not in y} for x, y in ((b, a), (a, b)))
    out = [Change("store-added", about, f"requests are counted at {listed(come)}", SEES)] if come else []
    out += [Change("store-removed", about, f"requests are counted no more at {listed(gone)}", NO_MORE)] if gone else []
    for at in sorted({*a} & {*b}):
        x, y = a[at], b[at]
        if rank(x) != rank(y):
            what = f"the hop to {at} was {pattern(x)}, now {pattern(y)}"
            kinds = ("store-hop-weakened", "store-hop-strengthened")
            so = ("what is counted is protected less on the way", "what is counted is protected more on the way")
            out.append(either(rank(y) < rank(x), kinds, about, what, so))
        out += identity(about, at, (old[0], x), (new[0], y))
        if not isinstance(x, str | PlaintextHop) and not isinstance(y, str | PlaintextHop):
            out += cipher_changes(about, f"towards {at}", x.policy, y.policy)
    out += [*unsaid(about, a, b), *verification(about, a, b), *asking(about, a, b), *revocation(about, a, b)]
    return out + acceptance.changes(about, signed(a), signed(b))


def hops(plan: Plan) -> dict[str, dict[str, Hop]]:
    """Each by its addresses."""
    ways = [route.way for route in plan.routes if isinstance(route.way, AtEdge)]
    used = {it.shared.store for way in ways for it in way.limited_by if it.shared is not None}
    return {it.name: {str(b.at): b.hop for b in it.backends} for it in plan.stores if it.name in used}

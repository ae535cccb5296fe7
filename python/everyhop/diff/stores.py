"""Where limits are counted together: a store sees who comes and says who passes, and the hop to it is weighed as one to a backend."""

from __future__ import annotations

from everyhop.diff import acceptance
from everyhop.diff.ciphers import cipher_changes
from everyhop.diff.collectors import listed, signed
from everyhop.diff.hops import Hop, asking, identity, pattern, rank, revocation, unsaid, verification
from everyhop.diff.kinds import KINDS, Change, either
from everyhop.plan import AtEdge, Limiter, PlaintextHop, Plan, Store, StoreEnvoy

KINDS.update(
    {
        "store-added": ("weaker", "somebody sees who comes who did not, and says how many pass"),
        "store-removed": ("stronger", "somebody sees no more who comes"),
        "store-hop-weakened": ("weaker", "the hop to a store protects less"),
        "store-hop-strengthened": ("stronger", "the hop to a store protects more"),
        "store-says-otherwise": ("weaker", "how many pass is decided by another word than before"),
        "store-counts-apart": ("neutral", "edges that count where they did share no limits with those that do not"),
    }
)

SEES = "whoever runs it, or gets its data, can find out who comes, and how many pass"
NO_MORE = "nobody there sees who comes"


def store_changes(old: Plan, new: Plan) -> list[Change]:
    """Of those in which some limit of a route is counted."""
    was, now = used(old), used(new)
    out: list[Change] = []
    for before, name in renamed(was, now):
        a, b = was.get(before), now.get(name)
        out += one(f"store/{name}", (old, hops(a)), (new, hops(b)))
        if a is not None and b is not None:
            out += said(f"store/{name}", a, b)
    return out + moved(old, new, was, now)


def renamed(was: dict[str, Store], now: dict[str, Store]) -> list[tuple[str, str]]:
    """Which is which: by its name, and where that is new by where it is and what it is asked there, or by where it is alone; what it
    is called is silence."""
    gone, come = ({name for name in x if name not in y} for x, y in ((was, now), (now, was)))
    pairs = [(name, name) for name in sorted({*was} & {*now})]
    for alike in (lambda it: (*where(it), it.speaks, it.database), where):
        for name in sorted(come):
            same = next((other for other in sorted(gone) if alike(was[other]) == alike(now[name])), None)
            if same is not None:
                pairs.append((same, name))
                gone.remove(same)
                come.remove(name)
    return pairs + [(name, name) for name in sorted(gone | come)]


def moved(old: Plan, new: Plan, was: dict[str, Store], now: dict[str, Store]) -> list[Change]:
    """Limits that went from one store to another where neither came or went."""
    out, same = [], dict(renamed(was, now))
    a, b = counted(old), counted(new)
    for name in sorted({*a} & {*b}):
        if same[a[name]] == b[name] or b[name] not in was:
            continue
        x, y = was[a[name]], now[b[name]]
        what = f"it was counted in store {a[name]}, now in {b[name]}"
        theirs = isinstance(x.speaks, StoreEnvoy) or isinstance(y.speaks, StoreEnvoy)
        so = "what was counted is forgotten, and until all edges count there they share it with none of those that do"
        out.append(Change("store-says-otherwise" if theirs else "store-counts-apart", f"limit/{name}", what, so))
    return out


def counted(plan: Plan) -> dict[str, str]:
    """The store of each limit that has one."""
    return {it.name: it.shared.store for it in limiters(plan) if it.shared is not None}


def where(it: Store) -> list[str]:
    return sorted(hops(it))


def said(about: str, a: Store, b: Store) -> list[Change]:
    """Of one that counts on: by whose word requests pass, and whether those that count there count together."""
    if a.speaks.kind != b.speaks.kind or (a.speaks != b.speaks and {*hops(a)} & {*hops(b)}):
        what = f"how many pass was said by {decides(a)}, now by {decides(b)}"
        so = "whoever writes that says who is held back; until all edges have it they share no limits"
        return [Change("store-says-otherwise", about, what, so)]
    if a.database != b.database and {*hops(a)} & {*hops(b)}:
        what = f"requests were counted in its database {a.database}, now in {b.database}"
        so = "what was counted is forgotten, and until all edges count there they share no limits"
        return [Change("store-counts-apart", about, what, so)]
    return []


def decides(it: Store) -> str:
    if isinstance(it.speaks, StoreEnvoy):
        return f"the configuration of a service of rate limits, in its domain {it.speaks.domain!r}"
    return "the limits of this file, counted in a Valkey or Redis"


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


def used(plan: Plan) -> dict[str, Store]:
    named = set(counted(plan).values())
    return {it.name: it for it in plan.stores if it.name in named}


def limiters(plan: Plan) -> list[Limiter]:
    return [it for route in plan.routes if isinstance(route.way, AtEdge) for it in route.way.limited_by]


def hops(it: Store | None) -> dict[str, Hop]:
    """By their addresses."""
    return {str(b.at): b.hop for b in it.backends} if it is not None else {}

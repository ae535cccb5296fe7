"""What changed of copies of requests: to whom they go, of how many, and what they hold. Whoever gets copies reads; how the hop to
it is protected is weighed as of any backend (`hops.py`)."""

from __future__ import annotations

from everyhop.diff.hops import mirrors, pattern
from everyhop.diff.kinds import KINDS, Change, either
from everyhop.plan import AtEdge, Mirror

KINDS.update(
    {
        "mirror-added": ("weaker", "copies of requests go to somebody who got none"),
        "mirror-removed": ("stronger", "copies of requests go to somebody no more"),
        "copies-widened": ("weaker", "more of what requests hold is copied"),
        "copies-narrowed": ("stronger", "less of what requests hold is copied"),
        "copies-edited": ("neutral", "copies of requests are changed in another way"),
    }
)


def copied(name: str, a: AtEdge, b: AtEdge) -> list[Change]:
    was, now = mirrors(a), mirrors(b)
    out = [
        Change(
            "mirror-added",
            name,
            f"copies of {share(b.mirror)} go to {at}, {pattern(now[at])}",
            "it reads what requests hold, passwords and cookies included unless they are taken out",
        )
        for at in sorted({*now} - {*was})
    ]
    out += [
        Change("mirror-removed", name, f"no copies go to {at} any more", "it reads nothing more of this")
        for at in sorted({*was} - {*now})
    ]
    if a.mirror is None or b.mirror is None:
        return out
    x, y = a.mirror, b.mirror
    kinds = ("copies-widened", "copies-narrowed")
    so = ("the mirror reads more of what passes", "the mirror reads less of what passes")
    if x.share_per_million != y.share_per_million:
        what = f"copies were made of {share(x)}, now of {share(y)}"
        out.append(either(y.share_per_million > x.share_per_million, kinds, name, what, so))
    if x.body_bytes != y.body_bytes:
        what = f"requests were copied with bodies of up to {x.body_bytes} bytes, now of up to {y.body_bytes}"
        out.append(either(y.body_bytes > x.body_bytes, kinds, name, what, so))
    return out + taken_out(name, x, y)


def taken_out(name: str, x: Mirror, y: Mirror) -> list[Change]:
    if x.request == y.request:
        return []
    gone, before = hidden(y), hidden(x)
    if gone != before:
        what = f"of copies {listed(before)} was kept from the mirror, now {listed(gone)}"
        so = ("the mirror reads what it did not", "the mirror does not read what it did")
        return [either(bool(before - gone), ("copies-widened", "copies-narrowed"), name, what, so)]
    what = "fields of copies are changed in another way"
    return [Change("copies-edited", name, what, "the mirror sees other fields")]


def hidden(it: Mirror) -> frozenset[str]:
    """Names of fields whose values the mirror is not shown."""
    return frozenset({*it.request.remove, *(edit.name for edit in it.request.set)})


def listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


def share(it: Mirror | None) -> str:
    return f"{it.share_per_million / 10_000:g} % of requests" if it else "no requests"

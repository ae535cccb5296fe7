"""What changed in how many requests a route takes: whoever may send more than before may do more. Limits are compared by what
they do; what they are called is silence."""

from __future__ import annotations

from everyhop.diff.kinds import KINDS, Change
from everyhop.plan import AtEdge, Limiter, Rate, Shared

KINDS.update(
    {
        "limit-loosened": ("weaker", "more requests of one kind pass, or at once"),
        "limit-tightened": ("stronger", "fewer requests of one kind pass, or at once"),
    }
)


def limited(name: str, a: AtEdge, b: AtEdge) -> list[Change]:
    was, now = refusing(a), refusing(b)
    gone = [it for it in was if not any(holds(other, it) for other in now)]
    come = [it for it in now if not any(holds(other, it) for other in was)]
    left = f"; now {', and '.join(map(str, now))}" if now else ""
    out = [
        Change(
            "limit-loosened", name, f"no more than {it} passed{left or ', now any number'}", "one client can take more"
        )
        for it in gone
    ]
    so = "what is beyond it is answered 429"
    return out + [Change("limit-tightened", name, f"no more than {it} pass", so) for it in come]


def refusing(way: AtEdge) -> list[Limiter]:
    """One that only observes holds nobody back."""
    return [it for it in way.limited_by if it.mode == "refuse"]


def holds(it: Limiter, other: Limiter) -> bool:
    """Whether nothing passes `it` that `other` would refuse: as far as can be told of two that count by the same."""
    alike = it.by == other.by and (it.ipv6_prefix <= other.ipv6_prefix or "client address" not in map(str, it.by))
    return (
        alike and together(it.shared, other.shared) and slower(it.rate, other.rate) and fewer(it.at_once, other.at_once)
    )


def together(it: Shared | None, other: Shared | None) -> bool:
    """Edges that count together let no more pass than one of them alone."""
    if it is None or other is None:
        return other is None
    return other.when_down == "local" or it.when_down == "refuse"


def slower(it: Rate | None, other: Rate | None) -> bool:
    if it is None or other is None:
        return other is None
    return it.count * other.per_s <= other.count * it.per_s and it.burst <= other.burst


def fewer(it: int | None, other: int | None) -> bool:
    return other is None or (it is not None and it <= other)

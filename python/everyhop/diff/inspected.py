"""By which rules a route's requests are inspected, and what of them passes unseen. Weaker is whatever lets a request pass that the
rules would have denied. Read next: `authorizers.py`."""

from __future__ import annotations

from everyhop.diff import acceptance
from everyhop.diff.kinds import KINDS, Change, either
from everyhop.plan import Exclusion, PassAcceptance, Plan, Route, Waf, WhenDownPass
from everyhop.trust.inspection import waf_of

KINDS.update(
    {
        "inspection-ended": ("weaker", "requests pass that rules were asked about, or were refused by"),
        "inspection-begun": ("stronger", "rules refuse requests that passed"),
        "inspection-weakened": ("weaker", "less of requests is inspected, or by less"),
        "inspection-strengthened": ("stronger", "more of requests is inspected, or by more"),
        "inspection-changed": ("weaker", "other files of rules say what is refused"),
        "exclusion-added": ("weaker", "a rule is not asked of some requests, by somebody's word"),
        "exclusion-gone": ("stronger", "a rule is asked again"),
    }
)


def inspected(old: tuple[Plan, Route], new: tuple[Plan, Route]) -> list[Change]:
    a, b, name = waf_of(*old), waf_of(*new), new[1].name
    blocked, blocks = (it is not None and it.mode == "block" for it in (a, b))
    if a is not None and not blocks:
        what = f"waf {a.name!r} refuses what its rules deny no more"
        return [Change("inspection-ended", name, what, "attacks that they found reach the backend")] if blocked else []
    if b is None or not blocks:
        return []
    if not blocked:
        what = f"waf {b.name!r} refuses what its rules deny"
        so = "what is no attack may be refused, too: look at what is"
        signed = [added(f"waf/{b.name}", it) for it in b.exclude]
        return [Change("inspection-begun", name, what, so), *signed, *uninspected(b.name, None, word_of(b))]
    assert a is not None, "one that blocked"
    return [*asks(a, b), *left_out(a, b), *uninspected(b.name, word_of(a), word_of(b))]


def asks(a: Waf, b: Waf) -> list[Change]:
    about, kinds = f"waf/{b.name}", ("inspection-weakened", "inspection-strengthened")
    out = []
    if a.paranoia != b.paranoia:
        what = f"the rules were asked at paranoia level {a.paranoia}, now at {b.paranoia}"
        so = ("attacks pass that only the higher level finds", "more is refused, also of what is no attack")
        out.append(either(b.paranoia < a.paranoia, kinds, about, what, so))
    if a.over_body != b.over_body:
        worse = b.over_body != "refuse"
        what = f"a body that is longer than what is inspected {'goes on' if worse else 'is refused'}"
        so = ("what stands behind its beginning is seen by no rule", "long bodies get 413")
        out.append(either(worse, kinds, about, what, so))
    if a.body_bytes != b.body_bytes:
        # Where longer ones are refused, a smaller bound lets nothing pass.
        worse = (b.body_bytes < a.body_bytes) == (b.over_body != "refuse")
        what = f"{a.body_bytes} bytes of a body were inspected, now {b.body_bytes}"
        so = (
            ("an attack has more room", "an attack has less room")
            if b.over_body == "refuse"
            else ("less is seen", "more is seen")
        )
        out.append(either(worse, kinds, about, what, so))
    gone, come = sorted({*a.extra} - {*b.extra}), sorted({*b.extra} - {*a.extra})
    if gone or come:
        said = [f"the rules of {', '.join(gone)} are asked no more"] * bool(gone)
        said += [f"those of {', '.join(come)} are asked"] * bool(come)
        out.append(Change("inspection-changed", about, "; ".join(said), "rules of one's own may also take others back"))
    return out


def left_out(a: Waf, b: Waf) -> list[Change]:
    about, was, now = f"waf/{b.name}", keyed(a), keyed(b)
    out = [added(about, now[key]) for key in now.keys() - was.keys()]
    for key in was.keys() - now.keys():
        what = f"{was[key].of} is asked again"
        out.append(Change("exclusion-gone", about, what, "what it refuses is refused"))
    for key in was.keys() & now.keys():
        x, y = was[key], now[key]
        if x.closes_at_s != y.closes_at_s:
            what = f"{y.of} was left out until {acceptance.day(x)}, now until {acceptance.day(y)}"
            so = (f"{y.owner} answers for the time in between", "it is asked again sooner")
            longer = y.closes_at_s > x.closes_at_s
            out.append(either(longer, ("acceptance-lengthened", "acceptance-shortened"), about, what, so))
        if x.owner != y.owner:
            what = f"{y.owner} answers for leaving out {y.of}, {x.owner} did"
            out.append(Change("acceptance-owner-changed", about, what, "ask them whether they know"))
    return out


def added(about: str, it: Exclusion) -> Change:
    what = f"{it.of} is not asked until {acceptance.day(it)}, by the word of {it.owner}"
    return Change("exclusion-added", about, what, "attacks that it finds there reach the backend")


def keyed(it: Waf) -> dict[tuple[int, str, str], Exclusion]:
    return {(one.rule, one.path, one.argument): one for one in it.exclude}


def word_of(it: Waf) -> PassAcceptance | None:
    return it.when_down.acceptance if isinstance(it.when_down, WhenDownPass) else None


def uninspected(name: str, was: PassAcceptance | None, now: PassAcceptance | None) -> list[Change]:
    """Whose word it is that requests pass where nobody inspects them."""
    words = ("uninspected", "where the inspector is down or busy", "whoever keeps it busy gets past its rules")
    return acceptance.passing(f"waf/{name}", was, now, words)

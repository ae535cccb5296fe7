"""Acceptances: who signed for plaintext to which address, and until when. A new, wider or longer one is a weakening that
somebody has to allow, also when it comes in the same edit as the hop that it excuses."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict

from everyhop.diff.kinds import KINDS, Change, either
from everyhop.plan import Acceptance, AtEdge, Exclusion, PassAcceptance, Plan
from everyhop.trust import acceptances

KINDS.update(
    {
        "acceptance-added": ("weaker", "someone accepted a plaintext hop"),
        "acceptance-widened": ("weaker", "an acceptance speaks of another backend"),
        "acceptance-lengthened": ("weaker", "an acceptance lasts longer"),
        "acceptance-shortened": ("stronger", "an acceptance ends sooner"),
        "acceptance-owner-changed": ("neutral", "somebody else answers for an acceptance"),
        "acceptance-gone": ("stronger", "an acceptance is gone"),
    }
)


def acceptance_changes(old: Plan, new: Plan, served_alike: set[tuple[int, int]], reached: set[int]) -> list[Change]:
    """`served_alike`: indices of routes of both plans that serve the same requests; `reached`: of routes of the new one
    that serve any. What a route says that no request gets to is nobody's risk."""
    before: dict[int, dict[str, Acceptance]] = defaultdict(dict)
    for a, b in sorted(served_alike):
        for at, it in signed(old, a).items():
            # Of several the one that ended first: the others never spoke of its requests.
            before[b][at] = min(before[b].get(at, it), it, key=lambda one: one.closes_at_s)
    out = []
    for b in sorted(reached):
        out += changes(new.routes[b].name, before[b], signed(new, b))
    return out


def excused(signed: list[Change]) -> dict[str, set[str]]:
    """By route: the addresses that are accepted now and were not. One that was there before, or only lasts longer,
    excuses nothing that came since."""
    found: dict[str, set[str]] = defaultdict(set)
    for it in signed:
        found[it.about].update(it.accepted)
    return found


def signed(plan: Plan, index: int) -> dict[str, Acceptance]:
    way = plan.routes[index].way
    return acceptances(way) if isinstance(way, AtEdge) else {}


def changes(name: str, was: dict[str, Acceptance], now: dict[str, Acceptance]) -> list[Change]:
    if was and not now:
        return [Change("acceptance-gone", name, "no acceptance is needed any more", "nobody has to answer for it")]
    out = []
    come = [at for at in now if at not in was]
    if come:
        it = now[come[0]]
        kind = "acceptance-widened" if was else "acceptance-added"
        what = f"{it.owner} accepts plaintext to {', '.join(come)} until {day(it)}"
        until = "the route closes then; until then that network is trusted"
        out.append(Change(kind, name, what, until, accepted=tuple(come)))
    for at in now:
        a, b = was.get(at), now[at]
        if a is None:
            continue
        if a.closes_at_s != b.closes_at_s:
            longer = b.closes_at_s > a.closes_at_s
            what = f"plaintext to {at} was accepted until {day(a)}, now until {day(b)}"
            so = (f"{b.owner} answers for the time in between", "the route closes sooner")
            out.append(either(longer, ("acceptance-lengthened", "acceptance-shortened"), name, what, so))
        if a.owner != b.owner:
            what = f"{b.owner} answers for the plaintext to {at}, {a.owner} did"
            out.append(Change("acceptance-owner-changed", name, what, "ask them whether they know"))
    return out


def passing(
    about: str, was: PassAcceptance | None, now: PassAcceptance | None, words: tuple[str, str, str]
) -> list[Change]:
    """Whose word it is that requests pass where nobody decides; `words`: how they pass, where, and what comes of it."""
    un, where, so = words
    if was is None and now is None:
        return []
    if now is None:
        return [Change("acceptance-gone", about, f"requests pass {un} no more {where}", "they are refused with 503")]
    if was is None:
        what = f"{now.owner} accepts that requests pass {un} {where}, until {day(now)}"
        return [Change("acceptance-added", about, what, so)]
    out = []
    if was.closes_at_s != now.closes_at_s:
        what = f"requests passed {un} {where} until {day(was)}, now until {day(now)}"
        thus = (f"{now.owner} answers for the time in between", "they are refused sooner")
        kinds = ("acceptance-lengthened", "acceptance-shortened")
        out.append(either(now.closes_at_s > was.closes_at_s, kinds, about, what, thus))
    if was.owner != now.owner:
        what = f"{now.owner} answers for requests that pass {un}, {was.owner} did"
        out.append(Change("acceptance-owner-changed", about, what, "ask them whether they know"))
    return out


def day(it: Acceptance | PassAcceptance | Exclusion) -> str:
    """The last day on which it holds."""
    return dt.datetime.fromtimestamp(it.closes_at_s - 1, dt.UTC).date().isoformat()

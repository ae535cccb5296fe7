"""Who gets in by somebody else's word: who is asked about a route's requests, what it is shown, and what passes without its word.
Whoever is asked reads; the hop to it is weighed as one to a backend. Read next: `served.py`."""

from __future__ import annotations

from everyhop.diff import acceptance
from everyhop.diff.ciphers import cipher_changes
from everyhop.diff.hops import Hop, asking, identity, pattern, rank, revocation, unsaid, verification
from everyhop.diff.kinds import KINDS, Change, either
from everyhop.plan import (
    Acceptance,
    AtEdge,
    Authorizer,
    PassAcceptance,
    PlaintextHop,
    Plan,
    Route,
    SpeaksHttp,
    WhenDownPass,
)
from everyhop.trust.authorizers import authorizer_of

KINDS.update(
    {
        "authorizer-added": ("weaker", "somebody is asked about requests who was not, and reads of them"),
        "authorizer-removed": ("stronger", "somebody reads of requests no more, since nobody asks"),
        "authorizer-hop-weakened": ("weaker", "the hop to an authorizer protects less"),
        "authorizer-hop-strengthened": ("stronger", "the hop to an authorizer protects more"),
        "authorizer-told-more": ("weaker", "an authorizer is shown more of requests"),
        "authorizer-told-less": ("stronger", "an authorizer is shown less of requests"),
        "authorizer-says-less": ("weaker", "clients may say what an authorizer said in their place"),
        "authorizer-says-more": ("neutral", "an authorizer says more to backends"),
        "ask-ended": ("weaker", "requests pass about which somebody had to be asked"),
        "ask-begun": ("stronger", "requests pass by somebody else's word alone"),
        "ask-changed": ("weaker", "who gets in is decided by another word than before"),
    }
)

READS = "it reads what is asked for, by whom, and the fields that it is shown"
NO_MORE = "it reads nothing more of requests"


def asked(old: tuple[Plan, Route], new: tuple[Plan, Route]) -> list[Change]:
    was, now, name = named(old[1]), named(new[1]), new[1].name
    a, b = authorizer_of(*old), authorizer_of(*new)
    if (was is None) != (now is None):
        what = f"authorizer {now or was!r} is asked about its requests{'' if now else ' no more'}"
        so = ("whoever reaches the route passes", "requests without its word are refused")
        out = [either(now is None, ("ask-ended", "ask-begun"), name, what, so)]
        if a is not None:
            out.append(Change("authorizer-removed", name, f"{listed(hops(a))} is asked no more", NO_MORE))
        if b is not None:
            out.append(Change("authorizer-added", name, f"{listed(hops(b))} is asked about its requests", READS))
            out += acceptance.changes(f"authorizer/{b.name}", {}, signed(hops(b))) + unasked(b.name, None, word(b))
        return out
    if a is None or b is None:
        return []
    out = []
    about = f"authorizer/{b.name}"
    # Who is behind a name counts, and no name.
    if a.speaks != b.speaks or not {*hops(a)} & {*hops(b)}:
        what = f"{listed(hops(a))} was asked {question(a)}, now {listed(hops(b))} {question(b)}"
        out.append(Change("ask-changed", name, what, "its word says who gets in"))
    return [
        *out,
        *reached(about, (old[0], hops(a)), (new[0], hops(b))),
        *shown(about, a, b),
        *unasked(b.name, word(a), word(b)),
    ]


def named(route: Route) -> str | None:
    return route.way.ask if isinstance(route.way, AtEdge) else None


def reached(about: str, old: tuple[Plan, dict[str, Hop]], new: tuple[Plan, dict[str, Hop]]) -> list[Change]:
    a, b = old[1], new[1]
    out = [
        Change("authorizer-added", about, f"{at} is asked about requests, by a hop that is {pattern(b[at])}", READS)
        for at in sorted({*b} - {*a})
    ]
    out += [
        Change("authorizer-removed", about, f"{at} is asked about requests no more", NO_MORE)
        for at in sorted({*a} - {*b})
    ]
    for at in sorted({*a} & {*b}):
        if rank(a[at]) != rank(b[at]):
            what = f"the hop to {at} was {pattern(a[at])}, now {pattern(b[at])}"
            kinds = ("authorizer-hop-weakened", "authorizer-hop-strengthened")
            so = ("who gets in, and by what, is protected less on the way", "who gets in is protected more on the way")
            out.append(either(rank(b[at]) < rank(a[at]), kinds, about, what, so))
        out += identity(about, at, (old[0], a[at]), (new[0], b[at]))
        x, y = a[at], b[at]
        if not isinstance(x, str | PlaintextHop) and not isinstance(y, str | PlaintextHop):
            out += cipher_changes(about, f"towards {at}", x.policy, y.policy)
    out += [*unsaid(about, a, b), *verification(about, a, b), *asking(about, a, b), *revocation(about, a, b)]
    return out + acceptance.changes(about, signed(a), signed(b))


def shown(about: str, a: Authorizer, b: Authorizer) -> list[Change]:
    out = []
    more, less = sorted({*b.sends} - {*a.sends}), sorted({*a.sends} - {*b.sends})
    if more:
        out.append(
            Change("authorizer-told-more", about, f"it is shown {', '.join(more)}", "what stands there may be a secret")
        )
    if less:
        out.append(Change("authorizer-told-less", about, f"it is not shown {', '.join(less)} any more", NO_MORE))
    says, silent = sorted({*b.takes} - {*a.takes}), sorted({*a.takes} - {*b.takes})
    if says:
        what = f"backends are told its {', '.join(says)}"
        out.append(Change("authorizer-says-more", about, what, "nothing of that name goes on from a client"))
    if silent:
        what = f"backends are not told its {', '.join(silent)} any more"
        out.append(Change("authorizer-says-less", about, what, "a client may say it, and a backend may believe that"))
    return out


def unasked(name: str, was: PassAcceptance | None, now: PassAcceptance | None) -> list[Change]:
    """Whose word it is that requests pass where nobody can be asked."""
    so = "whoever makes it unreachable gets in everywhere that it guards"
    return acceptance.passing(f"authorizer/{name}", was, now, ("unasked", "where it is down", so))


def question(it: Authorizer) -> str:
    return f"for {it.speaks.target}" if isinstance(it.speaks, SpeaksHttp) else "by gRPC, as Envoy asks"


def word(it: Authorizer) -> PassAcceptance | None:
    return it.when_down.acceptance if isinstance(it.when_down, WhenDownPass) else None


def hops(it: Authorizer) -> dict[str, Hop]:
    return {str(b.at): b.hop for b in it.backends}


def listed(by: dict[str, Hop]) -> str:
    return ", ".join(f"{at} ({pattern(hop)})" for at, hop in sorted(by.items()))


def signed(by: dict[str, Hop]) -> dict[str, Acceptance]:
    return {
        at: hop.reach.acceptance
        for at, hop in by.items()
        if isinstance(hop, PlaintextHop) and hop.reach.kind == "accepted"
    }

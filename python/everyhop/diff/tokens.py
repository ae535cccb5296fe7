"""Who gets in by a token: what a route asks for, and whom it believes. Weaker is whatever lets a token pass that did not, or a
request without one. Read next: `served.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from everyhop.diff.ciphers import cipher_changes
from everyhop.diff.hops import Hop, asking, identity, pattern, rank, revocation, unsaid, verification
from everyhop.diff.kinds import KINDS, Change, either
from everyhop.plan import AtEdge, ClaimMatch, ClaimText, ClaimTruth, ClaimWhole, Issuer, KeysServer, PlaintextHop, Plan

if TYPE_CHECKING:
    from everyhop.diff.served import Served

KINDS.update(
    {
        "token-dropped": ("weaker", "a route asks for no token, or for less in it"),
        "token-demanded": ("stronger", "a route asks for a token, or for more in it"),
        "token-moved": ("neutral", "a route looks for its token elsewhere"),
        "issuer-believed": ("weaker", "tokens are believed that were not"),
        "issuer-doubted": ("stronger", "tokens are believed no more"),
        "issuer-hop-weakened": ("weaker", "the hop to an issuer's keys protects less"),
        "issuer-hop-strengthened": ("stronger", "the hop to an issuer's keys protects more"),
        "issuer-keys-moved": ("weaker", "an issuer's keys come from somewhere else"),
    }
)
LESS = ("token-dropped", "token-demanded")
BELIEVED = ("issuer-believed", "issuer-doubted")


def tokens(name: str, was: Served, now: Served) -> list[Change]:
    a, b = was.route.way, now.route.way
    assert isinstance(a, AtEdge) and isinstance(b, AtEdge)
    if a.jwt is None and b.jwt is None:
        return []
    if a.jwt is None or b.jwt is None:
        asks = b.jwt or a.jwt
        assert asks is not None
        what = f"a token of {' or '.join(asks.issuers)} is asked for{'' if b.jwt else ' no more'}"
        so = ("requests pass without one", "requests without one are refused with 401")
        return [either(b.jwt is None, LESS, name, what, so)]
    out = []
    if a.jwt.at != b.jwt.at:
        what = f"the token was in {a.jwt.at}, now in {b.jwt.at}"
        out.append(Change("token-moved", name, what, "clients that send it there alone get 401"))
    out += claims(name, a.jwt.claims, b.jwt.claims)
    if a.jwt.strip and not b.jwt.strip:
        what = "the token goes on to the backend"
        out.append(Change("token-dropped", name, what, "whoever reads there can use it until it ends"))
    elif b.jwt.strip and not a.jwt.strip:
        out.append(Change("token-demanded", name, "the token goes no further", "nobody behind the edge can use it"))
    return out + issuers(name, was.plan, now.plan, a.jwt.issuers, b.jwt.issuers)


def claims(name: str, was: list[ClaimMatch], now: list[ClaimMatch]) -> list[Change]:
    """By claim: what it may be. One that is looked at no more, or may be more, lets more through."""
    # The number 2 and the text "2" are two claims.
    old, new = ({tuple(it.path): [said(one) for one in it.any] for it in all_} for all_ in (was, now))
    out = []
    for path in sorted({*old, *new}):
        a, b = old.get(path), new.get(path)
        if a is None or b is None:
            what = f"the claim {'.'.join(path)} {'must be ' + ' or '.join(b) if b else 'is looked at no more'}"
            so = ("tokens without it pass", "tokens without it are refused with 403")
            out.append(either(b is None, LESS, name, what, so))
        elif {*a} != {*b}:
            what = f"the claim {'.'.join(path)} was {' or '.join(a)}, now {' or '.join(b)}"
            so = ("tokens pass that were refused", "tokens are refused that passed")
            out.append(either(not {*b} <= {*a}, LESS, name, what, so))
    return out


def said(it: ClaimText | ClaimWhole | ClaimTruth) -> str:
    return f'"{it.text}"' if isinstance(it, ClaimText) else str(it)


def believed(plan: Plan, names: list[str]) -> dict[str, Issuer]:
    """By what their tokens say of whom they are, which no name of ours changes."""
    return {it.issuer: it for it in plan.issuers if it.name in names}


def issuers(name: str, was_plan: Plan, now_plan: Plan, before: list[str], after: list[str]) -> list[Change]:
    was, now = believed(was_plan, before), believed(now_plan, after)
    out: list[Change] = []
    for who in sorted({*was, *now}):
        a, b = was.get(who), now.get(who)
        if a is None or b is None:
            what = f"tokens of {who} are {'believed' if b else 'believed no more'}"
            so = ("whoever holds its keys says who gets in", "whoever has one gets 401")
            out.append(either(b is not None, BELIEVED, name, what, so))
            continue
        for word, old, new in (
            ("audience", {*a.audience}, {*b.audience}),
            ("algorithms", {*a.algorithms}, {*b.algorithms}),
        ):
            if old != new:
                what = f"{word} of {who} was {', '.join(sorted(old))}, now {', '.join(sorted(new))}"
                so = ("tokens pass that were refused", "tokens are refused that passed")
                out.append(either(not new <= old, BELIEVED, name, what, so))
        if a.type != b.type:
            what = f"type of {who} was {a.type or 'either'}, now {b.type or 'either'}"
            so = ("tokens pass that were refused", "tokens are refused that passed")
            out.append(either(a.type is not None, BELIEVED, name, what, so))
        if a.leeway_s != b.leeway_s:
            what = f"leeway_s of {who} was {a.leeway_s}, now {b.leeway_s}"
            so = ("tokens are believed for longer", "tokens are believed for a shorter time")
            out.append(either(b.leeway_s > a.leeway_s, BELIEVED, name, what, so))
        if isinstance(a.keys, KeysServer) and isinstance(b.keys, KeysServer) and same_place(a.keys, b.keys):
            out += hop_there(who, (was_plan, a.keys), (now_plan, b.keys))
        elif a.keys != b.keys:
            what = f"the keys of {who} were from {a.keys}, now from {b.keys}"
            out.append(Change("issuer-keys-moved", name, what, "whoever can write or answer there says who gets in"))
    return out


def same_place(a: KeysServer, b: KeysServer) -> bool:
    return (a.authority, a.path, a.backend.at) == (b.authority, b.path, b.backend.at)


def hop_there(who: str, was: tuple[Plan, KeysServer], now: tuple[Plan, KeysServer]) -> list[Change]:
    """The hop to where its keys are, weighed as one to a backend."""
    a, b = was[1].backend.hop, now[1].backend.hop
    about, at = f"issuer/{who}", str(now[1])
    out = []
    if rank(a) != rank(b):
        what = f"the hop to {at} was {pattern(a)}, now {pattern(b)}"
        so = ("whoever can answer in its place says who gets in", "less of what could answer in its place is believed")
        kinds = ("issuer-hop-weakened", "issuer-hop-strengthened")
        out.append(either(rank(b) < rank(a), kinds, about, what, so))
    out += identity(about, at, (was[0], a), (now[0], b))
    if not isinstance(a, PlaintextHop) and not isinstance(b, PlaintextHop):
        out += cipher_changes(about, f"towards {at}", a.policy, b.policy)
    x: dict[str, Hop] = {at: a}
    y: dict[str, Hop] = {at: b}
    return [*out, *unsaid(about, x, y), *verification(about, x, y), *asking(about, x, y), *revocation(about, x, y)]

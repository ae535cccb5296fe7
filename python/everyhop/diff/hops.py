"""The hops behind the edge, backend by backend: what protects each, who is verified, and whom we show. A backend is its
address; what it is called in the file does not matter. Read next: `acceptance.py`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from everyhop.diff.ciphers import cipher_changes
from everyhop.diff.kinds import KINDS, Change, either
from everyhop.diff.site import FETCHED_NOW, is_moved
from everyhop.diff.whole import other_keys
from everyhop.plan import (
    STRENGTH,
    AtBackend,
    AtEdge,
    ByPins,
    ByRoots,
    BySpiffe,
    Here,
    Identity,
    MutualHop,
    PlaintextHop,
    Plan,
    ReencryptHop,
    Verify,
    Way,
)

if TYPE_CHECKING:
    from everyhop.diff.served import Served

SHARE = "it gets a share of the traffic"
MOVES = "DNS chooses the machines and the ports that get its share of the traffic"

KINDS.update(
    {
        "hop-weakened": ("weaker", "a hop behind the edge protects less"),
        "hop-strengthened": ("stronger", "a hop behind the edge protects more"),
        "off-host-unsaid": ("weaker", "a loopback hop was said to leave this host, and is not any more"),
        "backend-added": ("neutral", "a backend is sent traffic that was not"),
        "backend-removed": ("neutral", "a backend is sent traffic no more"),
        "verification-changed": ("weaker", "backends are verified against something else"),
        "verification-narrowed": ("stronger", "of a trust domain one workload is left that a backend may be"),
        "identity-changed": ("neutral", "another identity is shown to a backend"),
        "asking-demand-weakened": ("weaker", "a backend that asks for no certificate may be sent requests"),
        "asking-demand-strengthened": ("stronger", "a backend that asks for no certificate is sent nothing"),
    }
)

Hop = MutualHop | ReencryptHop | PlaintextHop | Literal["passthrough"]


def hops(way: Way) -> dict[str, Hop]:
    if isinstance(way, AtBackend):
        return {str(at): "passthrough" for at in way.backends}
    return {} if isinstance(way, Here) else {str(b.at): b.hop for b in way.backends}


def mirrors(way: Way) -> dict[str, Hop]:
    """As `hops`, of where copies go."""
    return {str(b.at): b.hop for b in way.mirror.backends} if isinstance(way, AtEdge) and way.mirror else {}


def pattern(hop: Hop) -> str:
    return hop if isinstance(hop, str) else hop.tls


def rank(hop: Hop) -> int:
    return STRENGTH[pattern(hop)]


def expected(hop: Hop) -> Verify | None:
    return None if isinstance(hop, str | PlaintextHop) else hop.verify


def hop_changes(was: Served, now: Served) -> list[Change]:
    name, a, b = now.route.name, hops(was.route.way), hops(now.route.way)
    come, gone = sorted({*b} - {*a}), sorted({*a} - {*b})
    out = [
        Change("backend-added", name, f"{at} is a backend", MOVES if at.startswith("srv:") else SHARE) for at in come
    ]
    out += [Change("backend-removed", name, f"{at} is no backend any more", "it gets nothing") for at in gone]
    # Where TLS ends moved: that is told as what it is, and there is no hop of the edge to compare with.
    if isinstance(was.route.way, AtEdge) and isinstance(now.route.way, AtEdge):
        out += protected(name, was, now, a, b)
        x, y = mirrors(was.route.way), mirrors(now.route.way)
        if x and y:
            out += protected(name, was, now, x, y)
    return out + known(name, was, now, a, b) + known(name, was, now, mirrors(was.route.way), mirrors(now.route.way))


def protected(name: str, was: Served, now: Served, a: dict[str, Hop], b: dict[str, Hop]) -> list[Change]:
    return [
        *strengths(name, was, now, a, b),
        *unsaid(name, a, b),
        *verification(name, a, b),
        *asking(name, a, b),
        *revocation(name, a, b),
    ]


def known(name: str, was: Served, now: Served, a: dict[str, Hop], b: dict[str, Hop]) -> list[Change]:
    """What is shown to those that were there before, and by which ciphers."""
    out = []
    for at in sorted({*a} & {*b}):
        out += identity(name, at, (was.plan, a[at]), (now.plan, b[at]))
        x, y = a[at], b[at]
        if not isinstance(x, str | PlaintextHop) and not isinstance(y, str | PlaintextHop):
            out += cipher_changes(name, f"towards {at}", x.policy, y.policy)
    return out


def strengths(name: str, was: Served, now: Served, a: dict[str, Hop], b: dict[str, Hop]) -> list[Change]:
    out = []
    for at in sorted({*a} & {*b}):
        if rank(a[at]) != rank(b[at]):
            out.append(
                step(name, at, was, now, f"the hop to {at} was {pattern(a[at])}, now {pattern(b[at])}", a[at], b[at])
            )
    come = sorted(((rank(b[at]), at) for at in {*b} - {*a}), reverse=True)
    gone = sorted(((rank(a[at]), at) for at in {*a} - {*b}), reverse=True)
    weakest = min(a.values(), key=rank)
    for i, (r, at) in enumerate(come):
        # It takes the place of the strongest that went; where none did, it must be as strong as the route was.
        instead = a[gone[i][1]] if i < len(gone) else weakest
        if r < rank(instead):
            what = f"the hop to {at} is {pattern(b[at])}, where {pattern(instead)} was"
            out.append(step(name, at, was, now, what, instead, b[at]))
    if not out and min(map(rank, b.values())) > rank(weakest):
        what = f"the hop to the backend was {was.trust.way}, now {now.trust.way}"
        out.append(Change("hop-strengthened", name, what, attackers(was, now)))
    return out


def unsaid(name: str, a: dict[str, Hop], b: dict[str, Hop]) -> list[Change]:
    """Loopback addresses that were said to lead elsewhere. That they do not any more is somebody's word, and it takes the
    acceptance with its end away."""

    def reach(hop: Hop) -> str:
        return hop.reach.kind if isinstance(hop, PlaintextHop) else ""

    return [
        Change(
            "off-host-unsaid",
            name,
            f"plaintext to {at} was said to leave this host, and is not any more",
            "if it still does, a network can read it and nobody answers for it",
        )
        for at in sorted({*a} & {*b})
        if (reach(a[at]), reach(b[at])) == ("accepted", "same_host")
    ]


def step(name: str, at: str, was: Served, now: Served, what: str, a: Hop, b: Hop) -> Change:
    so = attackers(was, now)
    found = either(rank(b) < rank(a), ("hop-weakened", "hop-strengthened"), name, what, (so, so))
    signed = isinstance(b, PlaintextHop) and b.reach.kind == "accepted"
    return replace(found, accepted=(at,) if signed else ())


def attackers(was: Served, now: Served) -> str:
    """What attackers get now that they did not, or no more."""
    a, b = was.trust.attackers, now.trust.attackers
    differ = [b[k].why for k in b if k in a and (b[k].reads, b[k].pretends) != (a[k].reads, a[k].pretends)]
    return "; ".join(dict.fromkeys(differ)) or "what this backend is sent is protected otherwise"


def proof(it: Verify) -> tuple[object, ...]:
    """All of it but the lists of who was revoked, which is told as a change of its own."""
    by = it.by
    if isinstance(by, BySpiffe):
        return (it.name, by.ca, by.id, by.name_too)
    return (it.name, by.ca) if isinstance(by, ByRoots) else (it.name, tuple(by.sha256), by.name_too)


def verified(it: Verify) -> tuple[object, ...]:
    """As `proof`, without a name that is only asked for: by an ID or a pin that is the address's, another one for each backend."""
    asked_for = not isinstance(it.by, ByRoots) and not it.by.name_too
    return proof(it.model_copy(update={"name": ""}) if asked_for else it)


def verification(name: str, a: dict[str, Hop], b: dict[str, Hop]) -> list[Change]:
    """A backend that is verified against something that its address, or for a new one the route, did not know."""

    def said(it: Verify) -> str:
        if isinstance(it.by, ByPins):
            pins = " or ".join(f"sha256:{digits[:16]}..." for digits in it.by.sha256)
            return f"{it.name + ' ' if it.by.name_too else ''}by {pins}"
        ca = it.by.ca.removeprefix("ca/")
        if isinstance(it.by, BySpiffe):
            return f"{it.by.id}{' and ' + it.name if it.by.name_too else ''} by {ca}"
        return f"{it.name} by {ca}"

    def narrowed(was: Verify | None, now: Verify) -> bool:
        a, b = was.by if was else None, now.by
        if was is None or not isinstance(a, BySpiffe) or not isinstance(b, BySpiffe):
            return False
        names = not a.name_too or (b.name_too and was.name == now.name)
        return names and a.ca == b.ca and a.id.endswith("/*") and b.id.startswith(a.id[:-1])

    known = {verified(v): said(v) for v in map(expected, a.values()) if v is not None}
    out = []
    for at, hop in sorted(b.items()):
        now = expected(hop)
        before = expected(a[at]) if at in a else None
        if now is None or (before is None and not known):
            continue
        if proof(now) == proof(before) if before else verified(now) in known:
            continue
        what = f"{at} had to be {said(before) if before else ', '.join(sorted(known.values()))}, now {said(now)}"
        if narrowed(before, now):
            out.append(Change("verification-narrowed", name, what, "other workloads of the trust domain are refused"))
            continue
        out.append(Change("verification-changed", name, what, "another certificate opens the way to this traffic"))
    return out


def asking(name: str, a: dict[str, Hop], b: dict[str, Hop]) -> list[Change]:
    """Whether a backend that does not ask for our certificate gets requests. A new one is held to what all were."""
    kinds = ("asking-demand-weakened", "asking-demand-strengthened")
    so = (
        "one that asks nobody who they are is sent requests, and answers whoever reaches it",
        "what is sent goes to a backend that asks who sends it",
    )
    before = [hop.demand_asks for hop in a.values() if isinstance(hop, MutualHop)]
    all_did = bool(before) and all(before)
    out = []
    for at, hop in sorted(b.items()):
        if not isinstance(hop, MutualHop):
            continue
        was = a.get(at)
        did = was.demand_asks if isinstance(was, MutualHop) else all_did
        if did != hop.demand_asks and (isinstance(was, MutualHop) or did):
            what = f"{at} {'must ask' if hop.demand_asks else 'need not ask'} for our certificate to be sent requests"
            out.append(either(not hop.demand_asks, kinds, name, what, so))
    return out


def revocation(name: str, a: dict[str, Hop], b: dict[str, Hop]) -> list[Change]:
    """Whether a backend whose certificate was revoked is known as that. A new one is held to what all were."""
    before = [it for it in map(lists, a.values()) if it is not None]
    strictest = max(before, key=lambda it: (it.crl is not None, it.stale_crl == "refuse"), default=None)
    all_were = strictest if before and all(it.crl is not None for it in before) else None
    alike: dict[tuple[str | None, ...], tuple[list[str], ByRoots | BySpiffe, ByRoots | BySpiffe]] = {}
    for at, hop in sorted(b.items()):
        now, was = lists(hop), lists(a[at]) if at in a else all_were
        if was is not None and now is not None and (at in a or now.crl is None):
            of = (was.crl, was.stale_crl, now.crl, now.stale_crl, str(is_moved(was, now)))
            alike.setdefault(of, ([], was, now))[0].append(at)
    return [change for at, was, now in alike.values() for change in listed(name, at, was, now)]


def listed(name: str, of: list[str], was: ByRoots | BySpiffe, now: ByRoots | BySpiffe) -> list[Change]:
    """`of`: the backends of which it is said, all at once."""
    kinds = ("revocation-weakened", "revocation-strengthened")
    out = []
    at, were = " and ".join(of), "was" if len(of) == 1 else "were"
    if is_moved(was, now):
        what = f"whether {at} {were} revoked was known by {was.crl}, now by {now.crl}"
        out.append(Change("revocation-moved", name, what, FETCHED_NOW))
    elif was.crl != now.crl:
        what = f"whether {at} {were} revoked was known by {was.crl or 'no list'}, now by {now.crl or 'no list'}"
        so = ("a backend with a revoked certificate may be sent requests", "other certificates of backends are refused")
        return [either(was.crl is not None, kinds, name, what, so)]
    if now.crl is not None and was.stale_crl != now.stale_crl:
        less = now.stale_crl == "allow"
        what = f"an overdue revocation list {'still holds for' if less else 'lets nobody be taken for'} {at}"
        so = ("who was revoked since passes", "the backend depends on the list being fresh")
        out.append(either(less, kinds, name, what, so))
    return out


def lists(hop: Hop) -> ByRoots | BySpiffe | None:
    """Pins are taken back by hand: going from lists to them is told as another verification."""
    it = expected(hop)
    return it.by if it is not None and isinstance(it.by, ByRoots | BySpiffe) else None


def identity(name: str, at: str, was: tuple[Plan, Hop], now: tuple[Plan, Hop]) -> list[Change]:
    a, b = shown(*was), shown(*now)
    # The certificate counts: a name is only a name.
    if a is None or b is None or (a.chain, issuer(a)) == (b.chain, issuer(b)):
        return []
    elsewhere = other_keys(was[0], [b])
    if (issuer(a) or issuer(b)) and (elsewhere or a.chain == b.chain):
        # Whoever gives it is another: that is one change, wherever it is shown, and told of the key.
        return elsewhere
    what = f"{at} is shown {b.name!r} ({issuer(b) or b.chain}) instead of {a.name!r} ({issuer(a) or a.chain})"
    return [Change("identity-changed", name, what, "the backend sees another caller"), *elsewhere]


def issuer(it: Identity) -> str:
    """Who gives it, where it comes by itself."""
    kind, _, whom = it.key.partition(":")
    return f"from {kind} {whom}" if kind in ("ca", "spiffe") else ""


def shown(plan: Plan, hop: Hop) -> Identity | None:
    return next((i for i in plan.identities if isinstance(hop, MutualHop) and i.name == hop.present), None)

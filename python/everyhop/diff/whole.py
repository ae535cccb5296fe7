"""What concerns the edge as a whole: where private keys come from, how long a proof is believed, how the engine is
confined, what is recorded, and who can read the metrics."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from everyhop.diff import address
from everyhop.diff.address import REACHES, reach
from everyhop.diff.kinds import KINDS, Change, either
from everyhop.diff.logged import NONE, lines, told
from everyhop.identity.tokens import in_token
from everyhop.plan import Cert, Identity, Plan, StatusBound

KINDS.update(
    {
        "key-moved": ("weaker", "a private key comes from somewhere else"),
        "key-out-of-token": ("weaker", "a private key that a token kept is in a file"),
        "key-in-token": ("stronger", "a private key is kept by a token"),
        "proof-lengthened": ("weaker", "what was proved in a handshake is believed for longer"),
        "proof-shortened": ("stronger", "what was proved in a handshake is believed for a shorter time"),
        "sandbox-weakened": ("weaker", "the engine is confined less"),
        "sandbox-strengthened": ("stronger", "the engine is confined more"),
        "keys-together": ("weaker", "private keys are in the engine's memory"),
        "keys-apart": ("stronger", "private keys are in another process than the engine"),
        "evidence-weakened": ("weaker", "less is recorded of what happens"),
        "evidence-strengthened": ("stronger", "more is recorded of what happens"),
        "error-pages-changed": ("neutral", "errors of the edge's own are told by other pages"),
        "status-exposed": ("weaker", "metrics can be read from elsewhere"),
        "status-moved": ("neutral", "metrics can be read at another address, and from no farther"),
        "status-closed": ("neutral", "metrics can be read from fewer places"),
    }
)

SANDBOXES = ("off", "best-effort", "enforce")
"""How the engine is confined, weakest first."""


def whole_changes(old: Plan, new: Plan) -> list[Change]:
    return [
        *keys(old, new),
        *proof(old, new),
        *sandbox(old, new),
        *keys_at(old, new),
        *evidence(old, new),
        *status(old, new),
        *pages(old, new),
    ]


def keys(old: Plan, new: Plan) -> list[Change]:
    """By certificate: the file that it comes from, and the places that its key comes from."""

    was, now = places(old), places(new)
    return [
        moved(
            chain,
            f"the key of {chain} came from {', '.join(sorted(was[chain]))}, now from {', '.join(sorted(now[chain]))}",
            was[chain],
            now[chain],
        )
        for chain in sorted({*was} & {*now})
        if now[chain] - was[chain]
    ]


def moved(chain: str, what: str, was: set[str], now: set[str]) -> Change:
    """A token keeps what it has: where that may be known as a file now, it is another matter than one place for another."""
    if all(map(in_token, was)) and not all(map(in_token, now)):
        return Change("key-out-of-token", chain, what, "whoever can read that place can take the key away")
    if all(map(in_token, now)) and not any(map(in_token, was)):
        so = "nobody can take it away from there; a copy that was in a file is as good as it, as long as it is anywhere"
        return Change("key-in-token", chain, what, so)
    return Change("key-moved", chain, what, who_can(now - was))


def who_can(origins: set[str]) -> str:
    """Be this edge, by where a key and its certificate come from now."""
    kinds = {it.partition(":")[0] for it in origins}
    who = {
        "acme": "whoever an authority of [acme] certifies for the names, or who reads the state folder, can be this edge",
        "ca": "whoever runs that authority can be this edge, and backends see another caller",
        "spiffe": "whoever runs that agent can be this edge, and backends see another caller",
    }
    said = [who[kind] for kind in sorted(kinds & {*who})]
    return "; ".join(said + ["whoever can read that place can be this edge"] * bool(kinds - {*who}))


def places(plan: Plan) -> dict[str, set[str]]:
    """By certificate: where its keys come from."""
    found: dict[str, set[str]] = defaultdict(set)
    pairs: list[Cert | Identity] = [*(cert for site in plan.sites for cert in site.certs), *plan.identities]
    for pair in pairs:
        found[pair.chain].add(pair.key)
    return found


def other_keys(old: Plan, pairs: Iterable[Cert | Identity]) -> list[Change]:
    """Keys of certificates that stand in the place of others, or beside them: from where no key came."""
    was = places(old)
    known = {key for keys in was.values() for key in keys}
    return [
        Change(
            "key-moved",
            pair.chain,
            f"a key comes from {pair.key}, with the certificate {pair.chain}; none came from there",
            who_can({pair.key}),
        )
        for pair in pairs
        if pair.chain not in was and pair.key not in known
    ]


def proof(old: Plan, new: Plan) -> list[Change]:
    a, b = old.limits.max_age_s, new.limits.max_age_s
    if a == b:
        return []
    what = f"max_age_s was {a}, now {b}"
    so = ("a proof that would fail today is believed for longer", "connections prove themselves anew sooner")
    return [either(b > a, ("proof-lengthened", "proof-shortened"), "limits", what, so)]


def sandbox(old: Plan, new: Plan) -> list[Change]:
    a, b = old.engine.sandbox, new.engine.sandbox
    if a == b:
        return []
    what = f"the sandbox was {a}, now {b}"
    so = ("whoever takes the engine gets further", "whoever takes the engine gets less far")
    less = SANDBOXES.index(b) < SANDBOXES.index(a)
    return [either(less, ("sandbox-weakened", "sandbox-strengthened"), "engine", what, so)]


def keys_at(old: Plan, new: Plan) -> list[Change]:
    a, b = old.engine.keys, new.engine.keys
    if a == b:
        return []
    where = {"engine": "in the engine", "apart": "in a process of their own"}
    what = f"private keys were {where[a]}, now {where[b]}"
    so = ("whoever takes the engine takes them away", "whoever takes the engine takes none of them away")
    return [either(b == "engine", ("keys-together", "keys-apart"), "engine", what, so)]


def evidence(old: Plan, new: Plan) -> list[Change]:
    out = []
    kinds = ("evidence-weakened", "evidence-strengthened")
    was, now = lines(old), lines(new)
    if was.of != now.of:
        less = now.of == NONE
        what = f"the access log is {'off' if less else 'on'}"
        so = ("nobody can say afterwards what happened", "what happens is written down")
        out.append(either(less, kinds, "log", what, so))
    out += told("log", was, now)
    if old.log.on_full != new.log.on_full:
        what = f"a full log was {old.log.on_full}, now {new.log.on_full}"
        so = ("lines may be missing", "no request passes unrecorded")
        out.append(either(new.log.on_full == "drop", kinds, "log", what, so))
    return out


def status(old: Plan, new: Plan) -> list[Change]:
    if old.status == new.status:
        return []
    was, now = ((p.status.bind if isinstance(p.status, StatusBound) else None) for p in (old, new))
    what = f"metrics were at {was or 'no address'}, now at {now or 'no address'}"
    if now is None:
        return [Change("status-closed", "status", what, "nobody reads names and counts there")]
    so = f"{REACHES[reach(now)]} reaches it, and reads names and counts"
    a, b = reach(was) if was else 0, reach(now)
    if b < a:
        return [Change("status-closed", "status", what, so)]
    opened = b > a or (b > 0 and was is not None and address.ip(was) != address.ip(now))
    return [Change("status-exposed" if opened else "status-moved", "status", what, so)]


def pages(old: Plan, new: Plan) -> list[Change]:
    if old.pages == new.pages:
        return []
    was, now = (", ".join(map(str, p.pages)) or "by the edge's own page" for p in (old, new))
    what = f"who prefers HTML was told of errors {was}; now {now}"
    return [Change("error-pages-changed", "pages", what, "people see other pages; status and programs' words stay")]

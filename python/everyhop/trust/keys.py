"""Where the private keys of a route are, where each certificate comes from and who renews it, and who can open its clients' session
tickets: by the plan, one sentence each. No key and no certificate is looked at.

Where a key is, `_at` says for each kind of origin. Read next: `map.py`; `docs/how-to/keep-keys-apart.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

from everyhop.identity.tokens import in_token
from everyhop.plan import AtEdge, Backend, Cert, Identity, MutualHop, Plan, Route, Site
from everyhop.plan.token import KeysServer

Comes = Literal["files", "token", "acme", "ca", "spiffe"]
"""By whom a certificate and its successors come."""
Where = Literal["engine", "keyholder", "token"]


@dataclass(frozen=True)
class Held:
    """One key of ours that a route needs."""

    whose: str
    """Of a site or of an identity, by its name."""
    at: Where
    """The process that has it in its memory to sign with; or a token, which none of ours reads it from."""
    comes: Comes
    origin: str
    """As the plan has it: a reference to the key, or whoever issues."""
    sentence: str


@dataclass(frozen=True)
class Sealed:
    """Session tickets of a route's clients."""

    by: tuple[str, ...]
    """Where the secrets stand that edges share; none where each engine has keys of its own."""
    sentence: str


ENGINE = "is in the memory of the engine, which talks to strangers: whoever takes the engine takes it away"
KEYHOLDER = (
    "is in the memory of the keyholder, and an engine that starts with this plan never has it: whoever takes the engine has "
    "handshakes signed for as long as that is so, and does not take it away"
)
TOKEN = (
    "is in a token, which signs by it and does not give it to us: it is in the memory of neither engine nor keyholder, which asks the process of the token's PKCS#11 "
    "module. Whoever takes the engine has handshakes signed for as long as that is so, and does not take it away; a copy from before it came "
    "there, or a module that holds keys in its process as SoftHSM's does, is another matter"
)
_SAID: dict[Where, str] = {"engine": ENGINE, "keyholder": KEYHOLDER, "token": TOKEN}


def held(plan: Plan, route: Route, sites: Sequence[Site], others: Sequence[Backend]) -> tuple[Held, ...]:
    """`sites`: those whose keys are good for the route's clients; `others`: where it asks or tells."""
    found: dict[str, Held] = {}
    for site in sites:
        for cert in site.certs:
            one = _held(plan, f"site {site.name!r}", cert)
            found.setdefault(one.sentence, one)
    for identity in _presented(plan, route, others):
        one = _held(plan, f"identity {identity.name!r}", identity)
        found.setdefault(one.sentence, one)
    return tuple(found.values())


def _held(plan: Plan, whose: str, it: Cert | Identity) -> Held:
    at, comes = _at(plan, it), _comes(it.key)
    return Held(whose, at, comes, it.key, f"The private key of {whose} {_SAID[at]}. {_RENEWED[comes](it)}")


def _at(plan: Plan, it: Cert | Identity) -> Where:
    if in_token(it.key):
        return "token"
    return "keyholder" if plan.engine.keys == "apart" else "engine"


def _comes(origin: str) -> Comes:
    kind = origin.partition(":")[0]
    if in_token(origin):
        return "token"
    return kind if kind in ("acme", "ca", "spiffe") else "files"  # type: ignore[return-value]


def _of_files(it: Cert | Identity) -> str:
    return (
        f"It comes from {it.key}, and its certificate from {it.chain}: somebody else makes and renews both, says how long the certificate "
        "lives, and has had the key."
    )


def _of_token(it: Cert | Identity) -> str:
    return f"It is {it.key}, and its certificate comes from {it.chain}: somebody else makes and renews both, and says how long the certificate lives."


def _of_acme(it: Cert | Identity) -> str:
    return (
        f"It is made here, anew for each certificate, and lies with it in {it.chain}. An authority issues the certificate by ACME and says how long "
        "it lives; it is renewed by itself when the authority suggests it, or else with a third of its life left, of one that lives for "
        "less than ten days with half."
    )


def _of_ca(it: Cert | Identity) -> str:
    return (
        f"It is made here, anew for each certificate, and lies in {_folder(it)}. The authority at {it.key.removeprefix('ca:')} issues the "
        "certificate, by a token at first, and says how long it lives; it is renewed by itself once half of its life is over."
    )


def _of_spiffe(it: Cert | Identity) -> str:
    id_, _, agent = it.key.removeprefix("spiffe:").partition(" by ")
    return (
        f"The agent at {agent} makes it, and so has it too, and gives it as {id_} with its certificate; it lies in {_folder(it)}. The agent "
        "says how long the certificate lives, and gives the next one before that is over."
    )


_RENEWED = {"files": _of_files, "token": _of_token, "acme": _of_acme, "ca": _of_ca, "spiffe": _of_spiffe}


def _folder(it: Cert | Identity) -> str:
    """Of an identity that comes by itself; below it the link to what is in force."""
    return str(PurePath(it.chain).parent.parent)


def _presented(plan: Plan, route: Route, others: Sequence[Backend]) -> list[Identity]:
    """What the route's hops present, and those to whom it asks or tells."""
    hops = [*(route.way.behind if isinstance(route.way, AtEdge) else ()), *others]
    names = {it.hop.present for it in hops if isinstance(it.hop, MutualHop)}
    return [it for it in plan.identities if it.name in names]


def beside(
    plan: Plan, *, asks: str | None, collector: str | None, stores: Sequence[str], issuers: Sequence[str]
) -> list[Backend]:
    """Where a route asks or tells, by the names of whom."""
    return [
        *(it for a in plan.authorizers if a.name == asks for it in a.backends),
        *(it for c in plan.collectors if c.name == collector for it in c.backends),
        *(it for s in plan.stores if s.name in stores for it in s.backends),
        *(i.keys.backend for i in plan.issuers if i.name in issuers and isinstance(i.keys, KeysServer)),
    ]


def sealed(plan: Plan, sites: Sequence[Site]) -> Sealed | None:
    """`sites`: those by which clients come to a route; `None` where none comes with TLS that ends here."""
    if not sites:
        return None
    if plan.tickets is None:
        said = (
            "Session tickets of its clients are sealed by keys that each engine makes itself: nobody else has them, they are on no disk, and they "
            "end with the engine."
        )
        return Sealed((), said)
    keys = tuple(plan.tickets.keys)
    said = f"Session tickets of its clients are sealed by keys that are made of {keys[0]}, which edges share"
    said += f", and those of {', '.join(keys[1:])} are opened too" if keys[1:] else ""
    return Sealed(keys, f"{said}: {whoever_has_it(plan, sites)}.")


def whoever_has_it(plan: Plan, sites: Sequence[Site]) -> str:
    """What whoever has the secret of tickets can do, at these sites."""
    can = ["can answer in the place of every site whoever comes back by a ticket"]
    if any("1.2" in site.policy.versions for site in sites):
        can.insert(0, "can read what is recorded of sessions by TLS 1.2 that were given a ticket")
    if any(site.clients.mode != "nothing" for site in sites):
        can.append("can come as any client to sites that ask for certificates")
    kept = "; it is in the memory of each engine, while other keys are apart" if plan.engine.keys == "apart" else ""
    return f"whoever has that secret, now or later, {', '.join(can[:-1])}{' and ' if can[1:] else ''}{can[-1]}{kept}"

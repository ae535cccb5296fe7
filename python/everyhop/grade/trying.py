"""Finds out what a server offers, by handshakes that offer one thing alone. The engine's own TLS offers what policies have; Python's
OpenSSL what they have not (`openssl.py`). Judges nothing. Read next: `judged.py`.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from cryptography import x509

from everyhop.compile.policies import GROUPS, TLS12, TLS13
from everyhop.grade import openssl, web
from everyhop.grade.offered import Offered, Shown
from everyhop.grade.openssl import Peer, Taken, Untried
from everyhop.grade.shown import shown
from everyhop.identity import sha256

IANA = {
    f"ECDHE-{key}-{cipher}": f"TLS_ECDHE_{key}_WITH_{theirs}"
    for key in ("ECDSA", "RSA")
    for cipher, theirs in (
        ("AES128-GCM-SHA256", "AES_128_GCM_SHA256"),
        ("AES256-GCM-SHA384", "AES_256_GCM_SHA384"),
        ("CHACHA20-POLY1305", "CHACHA20_POLY1305_SHA256"),
    )
}
"""What OpenSSL calls the suites of TLS 1.2 that policies have."""
OLD = {"1.1": openssl.V11, "1.0": openssl.V10}
MORE_GROUPS = {"secp521r1": "secp521r1", "secp224r1": "secp224r1", "secp192r1": "prime192v1"}
"""Groups of no policy, as OpenSSL calls them: one that servers often take and that is no weaker, and two that are."""


class Unprobed(Exception):
    """There is no server that could be graded, and why."""


class Engine:
    """Handshakes by the engine's own TLS, with its own judge of certificates."""

    def __init__(self, ask: Mapping[str, Any]) -> None:
        self.ask = {**ask, "lingers": False}
        self.chains: dict[str, dict[str, Any]] = {}
        """What it showed, by the leaf, each with the first handshake in which it did."""
        self.unread: dict[str, dict[str, Any]] = {}
        """What was said of a certificate whose handshake came to nothing for it, by the kind of key that was asked for."""
        self.last: dict[str, Any] = {}
        self.silent: list[str] = []

    def seen(
        self, versions: Sequence[str], suites: Sequence[str], groups: Sequence[str], kind: str = ""
    ) -> dict[str, Any]:
        """Raises `OSError` where there is no connection."""
        from everyhop import _door

        policy = {"versions": [*versions], "suites": [*suites], "groups": [*groups]}
        found: dict[str, Any] = json.loads(_door.probe(json.dumps({**self.ask, "policy": policy})))
        self.last = found
        if found["chain"]:
            self.chains.setdefault(sha256(base64.b64decode(found["chain"][0])), found)
        elif found["verified_why"] is not None:
            self.unread.setdefault(kind, found)
        return found

    def takes(
        self, what: str, versions: Sequence[str], suites: Sequence[str], groups: Sequence[str], kind: str = ""
    ) -> bool:
        """A suite that was chosen was taken, however the handshake ended."""
        try:
            found = self.seen(versions, suites, groups, kind)
        except OSError as e:
            self.silent.append(f"{what}: {e}")
            return False
        if found["suite"] is None and found["handshake_why"] is None and not is_answer(found["handshake_detail"]):
            self.silent.append(f"{what}: {found['handshake_detail']}")
        return found["suite"] is not None

    def shown(self, peer: Peer, roots: Collection[x509.Certificate]) -> list[Shown]:
        found = {}
        for it in self.chains.values():
            chain = [base64.b64decode(c) for c in it["chain"]]
            found[sha256(chain[0])] = shown(chain, *said_of(it), roots)
        for kind, it in self.unread.items():
            if (leaf := openssl.leaf(peer, kind)) is not None:
                found.setdefault(sha256(leaf), shown([leaf], *said_of(it), roots))
        return [it for it in found.values() if it is not None]


def said_of(seen: Mapping[str, Any]) -> tuple[str, str | None]:
    why = seen["verified_why"]
    return seen["verified_detail"] if why == "hop/weak-key" else seen["verified"], why


def is_answer(detail: str) -> bool:
    """A server that ends the connection has answered."""
    return "the server closed" in detail or "the server reset" in detail


def tried(ask: Mapping[str, Any], peer: Peer, roots: Collection[x509.Certificate]) -> Offered:
    """What the server at `peer` offers. `ask` is what `probe` asks of the door, but for the policy.

    Raises `Unprobed`.
    """
    engine = Engine(ask)
    try:
        first = engine.seen(["1.2", "1.3"], TLS13 + TLS12, GROUPS)
    except OSError as e:
        raise Unprobed(str(e)) from e
    # A name may lead to several servers: all tries go to the one that answered the first.
    engine.ask |= {"addr": first["at"], "sni": peer.name}
    peer = dataclasses.replace(peer, host=first["at"].rpartition(":")[0].strip("[]"))
    not_tried = openssl.never_offered(peer)
    suites = [it for it in TLS13 if engine.takes(it, ["1.3"], [it], GROUPS)] if is_there(first) else []
    versions = ["1.3"] if suites else []
    old, why = openssl.suites_of_tls12(peer)
    if first["version"] == "1.2" or old:
        versions.append("1.2")
    if why:
        not_tried.append(f"suites of TLS 1.2 beyond those told: {why}")
    of_policies = [IANA[it] for it in old if it in IANA]
    suites += [it for it in TLS12 if it in of_policies]
    suites += [it for it in old if it not in IANA]
    groups = groups_of(engine) if is_there(first) else []
    if "1.2" in versions:
        # Beside one of ECDSA there may be one of RSA, and each is believed by itself.
        for kind in ("ECDSA", "RSA"):
            engine.takes(
                f"its certificate for {kind}", ["1.2"], [it for it in TLS12 if f"_{kind}_" in it], GROUPS, kind
            )
    for version, it in OLD.items():
        found = openssl.shaken(peer, it, openssl.EVERYTHING)
        if isinstance(found, Taken):
            versions.append(version)
        elif isinstance(found, Untried):
            not_tried.append(f"TLS {version}: {found.why}")
    if not versions:
        raise Unprobed(f"{first['at']} takes no handshake of TLS: {first['handshake_detail']}")
    by_engine = engine.shown(peer, roots)
    if not by_engine and (leaf := openssl.leaf(peer)) is not None:
        unread = shown([leaf], "the engine has no session with this server in which it could judge it", None, roots)
        by_engine = [unread] if unread is not None else []
    groups += more_groups(peer, versions, all(it.kind == "ECDSA" for it in by_engine), not_tried)
    return Offered(
        at=first["at"],
        name=peer.name,
        versions=tuple(versions),
        suites=tuple(suites),
        groups=tuple(groups),
        short_dh=openssl.is_short_dh(peer, old),
        shown=tuple(by_engine),
        hsts=web.asked(peer),
        not_tried=(*not_tried, *engine.silent),
    )


def is_there(seen: Mapping[str, Any]) -> bool:
    return seen["suite"] is not None


def groups_of(engine: Engine) -> list[str]:
    """One after the other, as the server chooses: with one alone, TLS 1.2 also asks whether the certificate's curve is that."""
    left, found = [*GROUPS], list[str]()
    while left and engine.takes(", ".join(left), ["1.2", "1.3"], TLS13 + TLS12, left):
        if (chosen := engine.last["group"]) not in left:
            break
        found.append(chosen)
        left.remove(chosen)
    return [it for it in GROUPS if it in found]


def more_groups(peer: Peer, versions: Sequence[str], is_ecdsa: bool, not_tried: list[str]) -> list[str]:
    """In TLS 1.3 where the group has a place there; else in 1.2, in which a certificate of ECDSA must be of the same curve."""
    found = []
    for name, theirs in MORE_GROUPS.items():
        if "1.3" in versions and name == "secp521r1":
            seen = openssl.shaken(peer, openssl.V13, "ECDHE", theirs)
        elif "1.2" not in versions:
            continue
        elif is_ecdsa:
            not_tried.append(f"{name}: TLS 1.2 takes it together with the curve of the certificate alone")
            continue
        else:
            seen = openssl.shaken(peer, openssl.V12, "ECDHE", theirs)
        if isinstance(seen, Taken):
            found.append(name)
        elif isinstance(seen, Untried):
            not_tried.append(f"{name}: {seen.why}")
    return found

"""Whether a backend answers by mutual TLS already: one handshake, with the identity, the roots and the name that its hop would have."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

from cryptography import x509

from everyhop.compile import Compiled
from everyhop.compile.names import workload
from everyhop.plan import AtEdge, Backend, ByPins, ByRoots, BySpiffe, MutualHop

TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Answer:
    """`ready`: it proved who it is, asked who we are, and took what we showed. `why` is a sentence either way."""

    ready: bool
    why: str


def answers(compiled: Compiled, route: str, index: int) -> Answer:
    """Of the backend that stands there in the plan, whose hop is mutual."""
    way = next(it.way for it in compiled.plan.routes if it.name == route)
    assert isinstance(way, AtEdge)
    wants = {"auto": ["h2", "http/1.1"], "tcp": []}.get(way.upstream_protocol, [way.upstream_protocol])
    return answer(compiled, way.backends[index], wants)


def answer(compiled: Compiled, backend: Backend, alpn: list[str]) -> Answer:
    from everyhop import _door

    hop, material = backend.hop, json.loads(compiled.material.blob)
    assert isinstance(hop, MutualHop)
    pair = material["certs"].get(f"identity/{hop.present}")
    if pair is None:
        return Answer(False, f"identity {hop.present!r} has no certificate yet")
    if pair["key"] is None:
        what = f"the key of identity {hop.present!r} is in a token, of which nothing is asked here"
        return Answer(False, f'{what}: write tls = "mutual" there by hand, and see what it does: everyhop status')
    by = hop.verify.by
    if not isinstance(by, ByPins) and by.ca not in material["cas"]:
        return Answer(False, f"the roots of {by.ca.removeprefix('ca/')} are not there yet")
    ask = {
        "addr": str(backend.at),
        "sni": hop.verify.name,
        "roots_pem": "" if isinstance(by, ByPins) else material["cas"][by.ca],
        "pins": by.sha256 if isinstance(by, ByPins) else [],
        "spiffe": by.id if isinstance(by, BySpiffe) else None,
        "name_too": not isinstance(by, ByRoots) and by.name_too,
        "identity": (pair["chain"], pair["key"]),
        "alpn": alpn,
        "timeout_s": TIMEOUT_S,
        "lingers": True,
        "policy": hop.policy.model_dump(mode="json"),
    }
    try:
        seen = json.loads(_door.probe(json.dumps(ask)))
    except OSError as e:
        return Answer(False, f"does not answer: {e}")
    if seen["handshake"] != "ok":
        why = f" [{seen['handshake_why']}]" if seen["handshake_why"] else ""
        return Answer(False, f"no TLS that holds: {seen['handshake']}{why}: {seen['handshake_detail']}")
    if seen["verified"] != "ok":
        return Answer(False, f"{seen['verified']} [{seen['verified_why']}]{instead(seen, by)}")
    if not seen["asked_for_certificate"]:
        return Answer(False, "does not ask who we are: it would be mutual in name only")
    return Answer(
        True, f"proves to be {proved(seen, hop)} by TLS {seen['version']}, and takes what {hop.present!r} shows"
    )


def proved(seen: dict[str, Any], hop: MutualHop) -> str:
    if not isinstance(by := hop.verify.by, BySpiffe):
        return hop.verify.name
    workloads = uris(seen)
    who = by.id if workloads in ([by.id], []) else f"{workloads[0]}, which is of {by.id},"
    return f"{who} and {hop.verify.name}" if by.name_too else who


def instead(seen: dict[str, Any], by: ByRoots | ByPins | BySpiffe) -> str:
    """Of one that the roots vouch for and that is somebody else: which workload it is, where it is one."""
    workloads = uris(seen)
    if isinstance(by, ByPins) or seen["verified_why"] != "hop/name-mismatch" or len(workloads) != 1:
        return ""
    who = workloads[0]
    # Beside a name the ID may be right; and what another wrote is told only where it is a whole ID, which no word of ours can be taken for.
    if (isinstance(by, BySpiffe) and by.name_too) or workload(who) is None or who.endswith("/*"):
        return ""
    return f"; it is {who}: if that is who belongs there, say --spiffe {who}"


def uris(seen: dict[str, Any]) -> list[str]:
    """Those in the certificate that was shown."""
    try:
        leaf = x509.load_der_x509_certificate(base64.b64decode(seen["chain"][0]))
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except Exception:  # a stranger's bytes: whatever reading them raises
        return []
    return names.get_values_for_type(x509.UniformResourceIdentifier)

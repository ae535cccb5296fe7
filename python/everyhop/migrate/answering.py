"""Whether a backend answers by mutual TLS already: one handshake, with the identity, the roots and the name that its hop would have."""

from __future__ import annotations

import json
from dataclasses import dataclass

from everyhop.compile import Compiled
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
        return Answer(False, f"{seen['verified']} [{seen['verified_why']}]")
    if not seen["asked_for_certificate"]:
        return Answer(False, "does not ask who we are: it would be mutual in name only")
    return Answer(
        True,
        f"proves to be {by.id if isinstance(by, BySpiffe) else hop.verify.name} by TLS {seen['version']}, and takes what {hop.present!r} shows",
    )

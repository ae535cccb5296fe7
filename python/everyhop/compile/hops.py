"""The hops behind the edge, from the file to the plan: a route's, those of its mirror, a collector's, a store's and an authorizer's. Pure. Read next: `build.py`."""

from __future__ import annotations

from everyhop import plan
from everyhop.compile import names
from everyhop.compile.policies import policy
from everyhop.compile.world import demands_asking, demands_post_quantum, ends_at
from everyhop.model import Acceptance, Authorizer, Hop, Route, Side, Verify


def ca(label: str) -> str:
    return f"ca/{label}"


def place(text: str) -> plan.IpPlace | plan.NamePlace | plan.ServicePlace | plan.UnixPlace:
    at = names.address(text)
    assert at is not None, "judged before"
    if at.unix is not None:
        return plan.UnixPlace(kind="unix", path=at.unix)
    if at.service is not None:
        return plan.ServicePlace(kind="service", service=at.service)
    if at.ip is not None:
        return plan.IpPlace(kind="ip", ip=at.ip, port=at.port)
    return plan.NamePlace(kind="name", name=at.name or "", port=at.port)


def accepted(given: Acceptance) -> plan.Accepted:
    return plan.Accepted(
        kind="accepted",
        acceptance=plan.Acceptance(
            owner=given.owner,
            why=given.why,
            context=given.context,
            since=given.since.isoformat(),
            until=given.until.isoformat(),
            closes_at_s=int(ends_at(given.until).timestamp()),
        ),
    )


def hop(it: Route | Side | Authorizer, backend: Hop) -> plan.MutualHop | plan.ReencryptHop | plan.PlaintextHop:
    tls = backend.tls or it.tls
    assert tls is not None
    at = names.address(backend.at)
    assert at is not None, "judged before"
    if tls == "plaintext":
        off_host = it.off_host if backend.off_host is None else backend.off_host
        if at.is_literal_loopback and not off_host:
            return plan.PlaintextHop(tls="plaintext", reach=plan.SameHost(kind="same_host"))
        given = it.acceptance
        assert given is not None, "judged before"
        return plan.PlaintextHop(tls="plaintext", reach=accepted(given))
    verify = backend.verify or it.verify
    assert verify is not None, "judged before"
    expected = expectation(verify, at)
    spoken = policy("intermediate", post_quantum=demands_post_quantum(it, backend))
    if tls == "mutual":
        present = backend.present or it.present
        assert present is not None, "judged before"
        return plan.MutualHop(
            tls="mutual",
            verify=expected,
            present=present,
            demand_asks=demands_asking(it, backend),
            policy=spoken,
        )
    return plan.ReencryptHop(tls="reencrypt", verify=expected, policy=spoken)


def expectation(verify: Verify, at: names.Address) -> plan.Verify:
    """Whom a hop expects. A pin and an ID need no name, but TLS asks for one: that of the address, where it is none."""
    name = (verify.name or at.name or at.ip or at.domain or "").lower()
    if verify.ca is None:
        by = plan.ByPins(kind="pins", sha256=sorted(set(pins(verify))), name_too=verify.name is not None)
        return plan.Verify(by=by, name=name)
    crl = f"crl/{verify.crl}" if verify.crl else None
    if verify.spiffe is not None:
        workload = plan.BySpiffe(
            kind="spiffe",
            ca=ca(verify.ca),
            crl=crl,
            stale_crl=verify.stale_crl,
            id=verify.spiffe,
            name_too=verify.name is not None,
        )
        return plan.Verify(by=workload, name=name)
    return plan.Verify(by=plan.ByRoots(kind="roots", ca=ca(verify.ca), crl=crl, stale_crl=verify.stale_crl), name=name)


def pins(verify: Verify) -> list[str]:
    """The fingerprints in their one form."""
    written = [verify.pin] if isinstance(verify.pin, str) else verify.pin or []
    found = [names.fingerprint(text) for text in written]
    assert None not in found, "judged before"
    return [it for it in found if it is not None]

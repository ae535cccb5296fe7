"""Revocation lists (RFC 5280 §5) of the authorities that clients or backends are verified against. A list that cannot be
read revokes nobody, and nobody would notice: so it is refused, as any file here is that cannot be used."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from everyhop import _door
from everyhop.identity.certificates import Roots, judged, sha256
from everyhop.identity.mark import Mark
from everyhop.identity.unusable import Unusable, read


@dataclass(frozen=True)
class Crl:
    """Revocation lists. `next_update` is the earliest of theirs, `this_update` that of the one that has it."""

    pem: bytes = field(repr=False)
    sha256: str
    this_update: dt.datetime
    next_update: dt.datetime
    files: dict[Path, Mark | None]


CRL_BLOCK = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.S)


def read_crl(label: str, roots: Roots, base: Path, whom: str = "clients") -> Crl:
    """Reads revocation lists (RFC 5280 §5), each signed by one of `roots` or named by a chain below them.

    `whom`: who is verified against `roots`. Raises `Unusable`: a list that cannot be read revokes nobody, and nobody would notice.
    """
    path = base / label
    pem, seen = read(path, "crl/unusable")
    mend = "give the authority's list as PEM: openssl crl -inform DER -in list.crl -out list.pem"
    with judged(path, "crl/unusable", mend):
        return crl_of(pem, roots, path, mend, {path: seen}, whom)


def crl_of(pem: bytes, roots: Roots, path: Path | str, mend: str, files: dict[Path, Mark | None], whom: str) -> Crl:
    try:
        lists = [x509.load_pem_x509_crl(block) for block in CRL_BLOCK.findall(pem)]
    except ValueError as e:
        raise Unusable("crl/unusable", f"{path} holds a revocation list that cannot be read", mend) from e
    if not lists:
        raise Unusable("crl/unusable", f"{path} holds no PEM revocation list", mend)
    issuers = by_subject(roots)
    for it in lists:
        if it.issuer in issuers and not signed_by(it, issuers[it.issuer]):
            raise Unusable(
                "crl/unusable",
                f"{path}: the list of {it.issuer.rfc4514_string()!r} is not signed by that authority",
                "get it anew from that authority, by a way that nobody else can write to",
            )
        if it.next_update_utc is None:
            raise Unusable(
                "crl/unusable",
                f"{path}: the list of {it.issuer.rfc4514_string()!r} does not say when the next one comes",
                "have the authority set nextUpdate: without it a stale list looks fresh for ever",
            )
    if not any(it.issuer in issuers for it in lists):
        held, missing = (
            ", ".join(sorted(n.rfc4514_string() for n in names)) for names in ({it.issuer for it in lists}, issuers)
        )
        raise Unusable(
            "crl/unusable",
            f"{path} holds the list of {held} and none of {missing}, against which {whom} are verified: no chain would pass",
            f"add the list of each authority of a chain, the root's too: cat root.crl.pem >> {path}",
        )
    kept = b"".join(it.public_bytes(Encoding.PEM) for it in lists)
    if (why := _door.judge_lists(roots.pem.decode(), kept.decode())) is not None:
        # The first version has no extensions, and is not told from nonsense by whoever reads only the second.
        why = "it is of version 1, and version 2 is needed" if any(not it.extensions for it in lists) else why
        whole = "have the authority make a whole list of version 2: crl_extensions with a crlNumber"
        raise Unusable("crl/unusable", f"{path} cannot be used: {why}", whole)
    ends, begins = min((it.next_update_utc, it.last_update_utc) for it in lists if it.next_update_utc)
    return Crl(
        pem=kept,
        sha256=sha256(b"".join(it.public_bytes(Encoding.DER) for it in lists)),
        this_update=begins,
        next_update=ends,
        files=files,
    )


def by_subject(*roots: Roots) -> dict[x509.Name, list[x509.Certificate]]:
    """Authorities by their names: while one changes its key, two have the same."""
    found: dict[x509.Name, list[x509.Certificate]] = {}
    for cert in (c for one in roots for c in x509.load_pem_x509_certificates(one.pem)):
        found.setdefault(cert.subject, []).append(cert)
    return found


def signed_by(it: x509.CertificateRevocationList, issuers: list[x509.Certificate]) -> bool:
    return any(it.is_signature_valid(c.public_key()) for c in issuers)  # type: ignore[arg-type]

"""What a certificate says of itself, and what the engine's judge says of it. Pure. Read next: `offered.py`."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa

from everyhop.grade.offered import Shown
from everyhop.identity import names_of, sha256
from everyhop.identity.chain import of_what_is_missing, topmost


def shown(chain: Sequence[bytes], verified: str, why: str | None, roots: Collection[x509.Certificate]) -> Shown | None:
    """Of a chain as it came, the leaf first; `None` where the leaf cannot be read."""
    try:
        certs = tuple(x509.load_der_x509_certificate(it) for it in chain)
        leaf = certs[0]
        kind, size = key_of(leaf)
        lacks = why == "hop/untrusted" and of_what_is_missing(certs, roots)
        return Shown(
            sha256=sha256(chain[0]),
            subject=leaf.subject.rfc4514_string(),
            issuer=leaf.issuer.rfc4514_string(),
            names=names_of(leaf),
            kind=kind,
            size=size,
            begins=leaf.not_valid_before_utc,
            ends=leaf.not_valid_after_utc,
            must_staple=staples(leaf),
            verified=verified,
            why=why,
            lacks=topmost(certs).issuer.rfc4514_string() if lacks else None,
        )
    except Exception:  # a stranger's bytes: whatever reading them raises, there is nothing to tell of them
        return None


def key_of(leaf: x509.Certificate) -> tuple[str, str]:
    match leaf.public_key():
        case rsa.RSAPublicKey() as key:
            return "RSA", str(key.key_size)
        case ec.EllipticCurvePublicKey() as key:
            return "ECDSA", key.curve.name
        case dsa.DSAPublicKey() as key:
            return "DSA", str(key.key_size)
        case ed25519.Ed25519PublicKey():
            return "Ed25519", ""
        case ed448.Ed448PublicKey():
            return "Ed448", ""
        case other:
            return type(other).__name__.strip("_"), ""


def staples(leaf: x509.Certificate) -> bool:
    """`must-staple` (RFC 7633): clients that know it refuse a handshake without an answer of OCSP."""
    try:
        return x509.TLSFeatureType.status_request in leaf.extensions.get_extension_for_class(x509.TLSFeature).value
    except Exception:  # a stranger's bytes, and the rest of them is told all the same
        return False

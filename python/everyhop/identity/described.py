"""A certificate as it is told to a person: whose, by whom, which key, until when, and its fingerprint. It judges nothing;
what cannot be read of it is said so."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from everyhop.identity.certificates import BLOCK, SYSTEM, names_of, sha256, system_roots
from everyhop.identity.unusable import Unusable, read


@dataclass(frozen=True)
class Described:
    """One certificate."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    key: str
    """Algorithm and size."""
    signed_with: str
    serial: str
    begins: dt.datetime
    ends: dt.datetime
    sha256: str
    """Of all of it, as browsers and `openssl x509 -fingerprint -sha256` show it."""


@dataclass(frozen=True)
class Shelf:
    """What stands in a file of certificates: all of them, or why none can be shown. `sha256` is that of a plan's material."""

    path: str
    certificates: tuple[Described, ...]
    sha256: str | None
    count: int
    why_not: str | None = None


def described(cert: x509.Certificate) -> Described:
    return Described(
        subject=cert.subject.rfc4514_string() or "(none)",
        issuer=cert.issuer.rfc4514_string() or "(none)",
        names=names_of(cert),
        key=key_of(cert),
        signed_with=cert.signature_algorithm_oid._name,
        serial=f"{cert.serial_number:x}",
        begins=cert.not_valid_before_utc,
        ends=cert.not_valid_after_utc,
        sha256=cert.fingerprint(hashes.SHA256()).hex(),
    )


def key_of(cert: x509.Certificate) -> str:
    try:
        key = cert.public_key()
    except Exception as e:  # a key of a kind that nobody here knows is told, not used
        return f"unknown ({type(e).__name__})"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {key.curve.name} ({key.key_size} bit)"
    if isinstance(key, rsa.RSAPublicKey | dsa.DSAPublicKey):
        return f"{'RSA' if isinstance(key, rsa.RSAPublicKey) else 'DSA'} {key.key_size} bit"
    return type(key).__name__.strip("_").removesuffix("PublicKey")


def shelf(label: str, base: Path) -> Shelf:
    """The certificates in the file at `label`. The system's roots are counted, not listed: somebody else keeps them."""
    try:
        path = system_roots() if label == SYSTEM else base / label
        pem, _ = read(path, "certificate/unreadable")
        if label == SYSTEM:
            blocks = BLOCK.findall(pem)
            return Shelf(str(path), (), sha256(b"\n".join(blocks) + b"\n"), len(blocks))
        found = x509.load_pem_x509_certificates(pem)
        whole = sha256(b"".join(public(c) for c in found))
        return Shelf(str(path), tuple(map(described, found)), whole, len(found))
    except Unusable as e:
        return Shelf(label, (), None, 0, e.what)
    except Exception as e:  # a stranger's file may hold anything
        return Shelf(label, (), None, 0, f"it cannot be read: {type(e).__name__}: {e}")


def public(cert: x509.Certificate) -> bytes:
    return cert.public_bytes(Encoding.DER)

"""Certificates that are wrong in exactly one way, and revocation lists: by pyca/cryptography, as an attacker would."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, ObjectIdentifier

from everyhop.demo.certificates import Authority, Leaf, alternative, named, new_key, put

BOTH = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
HOUR = dt.timedelta(hours=1)
FETCHED = x509.AuthorityInformationAccess(
    [
        x509.AccessDescription(
            AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier("http://ca.test/issuer.der")
        )
    ]
)
"""Says where the issuer is to be fetched from, as those of public authorities do."""


@dataclass
class Signer:
    """A key that signs, with its certificate: a root, or an authority below one."""

    cert: x509.Certificate
    key: CertificateIssuerPrivateKeyTypes
    chain: list[x509.Certificate] = field(default_factory=list)
    """What a leaf brings along: the authorities between it and the root."""


def root(authority: Authority) -> Signer:
    return Signer(authority.cert, authority.key)


def forged(
    name: str,
    by: Signer,
    *,
    names: Sequence[str | x509.GeneralName] = (),
    begins: dt.timedelta = -HOUR,
    ends: dt.timedelta = 24 * HOUR,
    usages: Sequence[ObjectIdentifier] | None = BOTH,
    ca: bool = False,
    key: CertificateIssuerPrivateKeyTypes | None = None,
    more: Sequence[x509.ExtensionType] = (),
    constraints: x509.NameConstraints | None = None,
    length: int | None = None,
) -> Signer:
    """A certificate signed by `by`; times are from now."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)
    it = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(by.cert.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begins)
        .not_valid_after(now + ends)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=length), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.key.public_key()), critical=False)
    )
    if ca:
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        it = it.add_extension(usage, critical=True)
    if usages is not None and not ca:
        it = it.add_extension(x509.ExtendedKeyUsage(list(usages)), critical=False)
    if names:
        listed = [n if isinstance(n, x509.GeneralName) else alternative(n) for n in names]
        it = it.add_extension(x509.SubjectAlternativeName(listed), critical=False)
    if constraints:
        it = it.add_extension(constraints, critical=True)
    for extra in more:
        it = it.add_extension(extra, critical=False)
    cert = it.sign(by.key, hashes.SHA256())
    return Signer(cert, key, [cert, *by.chain] if ca else [])


def of_version_1(name: str, by: Signer) -> Signer:
    """As `openssl x509 -req` makes them without an extension file: no version, no extensions, validly signed."""
    it = forged(name, by)
    tbs = it.cert.tbs_certificate_bytes
    _, head, _ = element(tbs)
    inner, kept, at = tbs[head:], b"", 0
    while at < len(inner):
        tag, _, whole = element(inner[at:])
        kept += b"" if tag in {0xA0, 0xA3} else inner[at : at + whole]
        at += whole
    bare = wrapped(0x30, kept)
    return Signer(x509.load_der_x509_certificate(signed(bare, by)), it.key)


def signed(bare: bytes, by: Signer) -> bytes:
    """A certificate or list of what is to be signed."""
    assert isinstance(by.key, ec.EllipticCurvePrivateKey)
    signature = by.key.sign(bare, ec.ECDSA(hashes.SHA256()))
    algorithm = wrapped(0x30, bytes.fromhex("06082a8648ce3d040302"))
    return wrapped(0x30, bare + algorithm + wrapped(0x03, b"\0" + signature))


def element(der: bytes) -> tuple[int, int, int]:
    """The tag of the first element of DER, the length of its head, and its whole length."""
    if der[1] < 0x80:
        return der[0], 2, 2 + der[1]
    head = 2 + (der[1] & 0x7F)
    return der[0], head, head + int.from_bytes(der[2:head])


def wrapped(tag: int, inner: bytes) -> bytes:
    size = len(inner)
    octets = size.to_bytes(2).lstrip(b"\0")
    length = bytes([size]) if size < 0x80 else bytes([0x80 | len(octets)]) + octets
    return bytes([tag]) + length + inner


def alone(
    name: str,
    *,
    names: Sequence[str] | None = None,
    begins: dt.timedelta = -HOUR,
    ends: dt.timedelta = 90 * 24 * HOUR,
    usages: Sequence[ObjectIdentifier] | None = None,
    ca: bool = False,
    key: CertificateIssuerPrivateKeyTypes | None = None,
) -> Signer:
    """A certificate that its key signed itself, as a server makes one; `names` default to `name`."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    me = x509.CertificateBuilder().subject_name(named(name)).issuer_name(named(name)).public_key(key.public_key())
    now = dt.datetime.now(dt.UTC)
    it = me.serial_number(x509.random_serial_number()).not_valid_before(now + begins).not_valid_after(now + ends)
    it = it.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    if listed := [alternative(n) for n in ((name,) if names is None else names)]:
        it = it.add_extension(x509.SubjectAlternativeName(listed), critical=False)
    if usages is not None:
        it = it.add_extension(x509.ExtendedKeyUsage(list(usages)), critical=False)
    return Signer(it.sign(key, hashes.SHA256()), key)


def public(folder: Path, file: str, it: Signer) -> Path:
    """The certificate alone."""
    path = folder / f"{file}.pem"
    put(path, it.cert.public_bytes(Encoding.PEM), 0o644)
    return path


def saved(folder: Path, file: str, it: Signer, by: Signer) -> Leaf:
    """The leaf with what it brings along, and its key."""
    chain, secret = folder / f"{file}.pem", folder / f"{file}.key"
    certs = [it.cert, *by.chain]
    put(chain, b"".join(c.public_bytes(Encoding.PEM) for c in certs), 0o644)
    put(secret, it.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
    return Leaf(chain, secret)


def crl(
    path: Path,
    by: Signer,
    *revoked: x509.Certificate,
    ends: dt.timedelta = 24 * HOUR,
    begins: dt.timedelta = -HOUR,
    more: Sequence[x509.ExtensionType] = (),
) -> Path:
    """A revocation list of `by`; `more` of it is critical."""
    now = dt.datetime.now(dt.UTC)
    it = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(by.cert.subject)
        .last_update(now + begins)
        .next_update(now + ends)
        .add_extension(x509.CRLNumber(int(now.timestamp() * 1000)), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.key.public_key()), critical=False)
    )
    for extra in more:
        it = it.add_extension(extra, critical=True)
    for cert in revoked:
        one = x509.RevokedCertificateBuilder().serial_number(cert.serial_number).revocation_date(now - HOUR)
        it = it.add_revoked_certificate(one.build())
    put(path, it.sign(by.key, hashes.SHA256()).public_bytes(Encoding.PEM), 0o644)
    return path


__all__ = [
    "BOTH",
    "FETCHED",
    "HOUR",
    "Signer",
    "alone",
    "crl",
    "forged",
    "new_key",
    "of_version_1",
    "public",
    "root",
    "saved",
]


def longer_than_taken() -> rsa.RSAPrivateKey:
    """An RSA key of 8,676 bits, where 8,192 are verified by. Of two primes that everybody knows: it would take minutes to
    find others, and nobody is to believe it."""
    p, q, e = 2**4423 - 1, 2**4253 - 1, 65537
    d = pow(e, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(e, p * q)
    numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public)
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)

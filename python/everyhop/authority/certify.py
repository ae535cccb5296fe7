"""Certificates and revocation lists as they are signed here (RFC 5280, X509-SVID): each extension once, nothing of a request.

Pure but for the keys that it makes: the clock comes in as an argument.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from everyhop.authority.names import COMMON_NAME_MOST, Name
from everyhop.authority.policy import Policy

Key = ec.EllipticCurvePrivateKey
BACKDATED = dt.timedelta(minutes=10)
"""A clock that is a little late takes what was issued now."""
ROOT_LASTS, ISSUING_LASTS = dt.timedelta(days=3650), dt.timedelta(days=1825)
USES = {
    "server": (ExtendedKeyUsageOID.SERVER_AUTH,),
    "client": (ExtendedKeyUsageOID.CLIENT_AUTH,),
    "both": (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
}
REASONS = {
    "unspecified": x509.ReasonFlags.unspecified,
    "key-compromise": x509.ReasonFlags.key_compromise,
    "superseded": x509.ReasonFlags.superseded,
    "cessation-of-operation": x509.ReasonFlags.cessation_of_operation,
    "affiliation-changed": x509.ReasonFlags.affiliation_changed,
    "privilege-withdrawn": x509.ReasonFlags.privilege_withdrawn,
}


@dataclass(frozen=True)
class Signer:
    """A key that signs, and its certificate. The key does not show in `repr`."""

    cert: x509.Certificate
    key: Key = field(repr=False)


def new_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def subject(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def usage(*, signs: bool) -> x509.KeyUsage:
    """Of an authority, or of who speaks TLS."""
    return x509.KeyUsage(not signs, False, False, False, False, signs, signs, False, False)


def root(policy: Policy, number: int, now: dt.datetime) -> Signer:
    """A root that one authority stands below."""
    key = new_key()
    name = subject(f"{policy.name} root {number}")
    it = base(name, name, key.public_key(), now, now + ROOT_LASTS)
    it = it.add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
    it = it.add_extension(usage(signs=True), critical=True)
    return Signer(it.sign(key, hashes.SHA256()), key)


def issuing(policy: Policy, number: int, by: Signer, now: dt.datetime) -> Signer:
    """What signs from day to day: for the names of the policy and for TLS alone, and no authority below it."""
    key = new_key()
    ends = min(now + ISSUING_LASTS, by.cert.not_valid_after_utc)
    it = base(subject(f"{policy.name} issuing {number}"), by.cert.subject, key.public_key(), now, ends)
    it = it.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    it = it.add_extension(usage(signs=True), critical=True)
    it = it.add_extension(x509.ExtendedKeyUsage(list(USES["both"])), critical=False)
    it = it.add_extension(policy.constraints(), critical=True)
    return Signer(it.add_extension(signed_by(by), critical=False).sign(by.key, hashes.SHA256()), key)


def leaf(
    names: list[Name], key: CertificateIssuerPublicKeyTypes, use: str, by: Signer, now: dt.datetime, ends: dt.datetime
) -> x509.Certificate:
    """A certificate of `names`, which whoever calls has judged. The first host's name is its subject too, for people and old
    programs; where none fits the subject is empty, and the names are critical (RFC 5280 §4.2.1.6)."""
    hosts = [it.text for it in names if it.kind == "dns" and len(it.text) <= COMMON_NAME_MOST]
    called = subject(hosts[0]) if hosts else x509.Name([])
    it = base(called, by.cert.subject, key, now, ends)
    it = it.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    it = it.add_extension(usage(signs=False), critical=True)
    it = it.add_extension(x509.ExtendedKeyUsage(list(USES[use])), critical=False)
    listed = x509.SubjectAlternativeName([it.general() for it in names])
    it = it.add_extension(listed, critical=not hosts)
    return it.add_extension(signed_by(by), critical=False).sign(by.key, hashes.SHA256())


def base(
    called: x509.Name, issuer: x509.Name, key: CertificateIssuerPublicKeyTypes, now: dt.datetime, ends: dt.datetime
) -> x509.CertificateBuilder:
    """Of 159 random bits, the serial is of 20 bytes at most (RFC 5280 §4.1.2.2)."""
    it = x509.CertificateBuilder().subject_name(called).issuer_name(issuer).public_key(key)
    it = it.serial_number(x509.random_serial_number()).not_valid_before(now - BACKDATED).not_valid_after(ends)
    return it.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def signed_by(by: Signer) -> x509.AuthorityKeyIdentifier:
    identifier = by.cert.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def revoked(serial: int, at: dt.datetime, reason: str) -> x509.RevokedCertificate:
    """As it stands on a list."""
    it = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(at)
    if reason not in {"", "unspecified"}:
        it = it.add_extension(x509.CRLReason(REASONS[reason]), critical=False)
    return it.build()


def revocations(
    by: Signer, gone: Iterable[x509.RevokedCertificate], number: int, now: dt.datetime, ends: dt.datetime
) -> x509.CertificateRevocationList:
    """A whole list of version 2."""
    it = x509.CertificateRevocationListBuilder().issuer_name(by.cert.subject).last_update(now - BACKDATED)
    it = it.next_update(ends).add_extension(x509.CRLNumber(number), critical=False)
    it = it.add_extension(signed_by(by), critical=False)
    for one in gone:
        it = it.add_revoked_certificate(one)
    return it.sign(by.key, hashes.SHA256())


def pem(*them: x509.Certificate | x509.CertificateRevocationList) -> bytes:
    return b"".join(it.public_bytes(Encoding.PEM) for it in them)


def serial_of(cert: x509.Certificate) -> str:
    digits = f"{cert.serial_number:x}".upper()
    return digits if len(digits) % 2 == 0 else f"0{digits}"

"""The certificate that answers `tls-alpn-01` (RFC 8737 §3), and the challenge's name, which the `acme` package does not know.

It proves one thing to the authority and is served to nobody else. Read next: `order.py`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Any

from acme import challenges
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from josepy.jwk import JWK

PROTOCOL = "acme-tls/1"
"""The ALPN protocol that alone is answered with it."""
IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")
"""id-pe-acmeIdentifier."""
LASTS = dt.timedelta(days=7)
"""As long as an authorization may be pending; nobody judges its dates."""


@challenges.ChallengeResponse.register
class TLSALPN01Response(challenges.KeyAuthorizationChallengeResponse):
    """What is sent once the certificate is served: nothing but that."""

    typ = "tls-alpn-01"


@challenges.Challenge.register
class TLSALPN01(challenges.KeyAuthorizationChallenge):
    """The challenge, as an authorization offers it."""

    response_cls = TLSALPN01Response
    typ = TLSALPN01Response.typ

    def validation(self, account_key: JWK, **_: Any) -> str:
        return self.key_authorization(account_key)


def challenge_pair(name: str, key_authorization: str, now: dt.datetime) -> tuple[bytes, bytes]:
    """The self-signed certificate for `name`, and its key, both PEM.

    Source: RFC 8737 §3.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ACME challenge")])
    # A SHA-256 is 32 octets: an OCTET STRING (4) of that length.
    digest = b"\x04\x20" + hashlib.sha256(key_authorization.encode()).digest()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + LASTS)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.UnrecognizedExtension(IDENTIFIER, digest), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM), private

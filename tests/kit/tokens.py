"""An issuer of tokens, which signs whatever it is told, true or not, and publishes its keys as identity providers do."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

ISSUER = "https://login.test"
Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int, length: int | None = None) -> str:
    return b64(value.to_bytes(length or (value.bit_length() + 7) // 8))


class Issuer:
    """By one key: `ES256`, `RS256`, `PS256` or `EdDSA`. `name` is what `iss` says."""

    def __init__(self, algorithm: str = "ES256", kid: str = "k1", name: str = ISSUER, audience: str = "api") -> None:
        self.algorithm, self.kid, self.name, self.audience = algorithm, kid, name, audience
        self.key: Private
        if algorithm == "EdDSA":
            self.key = ed25519.Ed25519PrivateKey.generate()
        elif algorithm == "ES256":
            self.key = ec.generate_private_key(ec.SECP256R1())
        else:
            self.key = rsa.generate_private_key(65537, 2048)

    def jwk(self, **more: Any) -> dict[str, Any]:
        """The public key (RFC 7517)."""
        if isinstance(self.key, rsa.RSAPrivateKey):
            rsa_numbers = self.key.public_key().public_numbers()
            jwk = {"kty": "RSA", "n": number(rsa_numbers.n), "e": number(rsa_numbers.e)}
        elif isinstance(self.key, ec.EllipticCurvePrivateKey):
            point = self.key.public_key().public_numbers()
            jwk = {"kty": "EC", "crv": "P-256", "x": number(point.x, 32), "y": number(point.y, 32)}
        else:
            jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64(self.key.public_key().public_bytes_raw())}
        return {**jwk, "kid": self.kid, "use": "sig", **more}

    def claims(self, **more: Any) -> dict[str, Any]:
        """Such as pass; what is `None` is left out."""
        now = int(time.time())
        all_ = {"iss": self.name, "aud": self.audience, "sub": "alice", "iat": now, "exp": now + 600, **more}
        return {name: value for name, value in all_.items() if value is not None}

    def sign(self, message: bytes) -> bytes:
        if isinstance(self.key, rsa.RSAPrivateKey):
            sha = hashes.SHA256()
            pad = padding.PSS(padding.MGF1(sha), 32) if self.algorithm == "PS256" else padding.PKCS1v15()
            return self.key.sign(message, pad, sha)
        if isinstance(self.key, ec.EllipticCurvePrivateKey):
            r, s = decode_dss_signature(self.key.sign(message, ec.ECDSA(hashes.SHA256())))
            return r.to_bytes(32) + s.to_bytes(32)
        return self.key.sign(message)

    def token(self, header: Any = None, **more: Any) -> str:
        """With `more` in its claims, and `header` in the place of what stands in one."""
        head = {"alg": self.algorithm, "kid": self.kid, "typ": "JWT", **(header or {})}
        head = {name: value for name, value in head.items() if value is not None}
        return self.of(json.dumps(head), json.dumps(self.claims(**more)))

    def of(self, header: str, claims: str) -> str:
        """Of exactly these texts."""
        signed = f"{b64(header.encode())}.{b64(claims.encode())}"
        return f"{signed}.{b64(self.sign(signed.encode()))}"


def write_keys(path: Path, *issuers: Issuer) -> Path:
    """At once, as whoever renews a file should."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"keys": [it.jwk() for it in issuers]}))
    return new.replace(path)


def block(path: Path, *, name: str = "corp", issuer: str = ISSUER, more: str = "") -> str:
    """An `[[issuer]]`."""
    algorithms = 'algorithms = ["ES256", "RS256", "EdDSA"]\n'
    return (
        f'[[issuer]]\nname = "{name}"\nissuer = "{issuer}"\naudience = "api"\nkeys = {{ file = "{path}" }}\n'
        + ("" if "algorithms" in more else algorithms)
        + f"{more}\n"
    )

"""Keys and tokens that other people's libraries made, in the shapes in which large identity providers publish them: with members
that say nothing here, certificates, keys for encryption beside those for signatures, and keys without an algorithm."""

from __future__ import annotations

import base64
import datetime as dt
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt as pyjwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from joserfc import jwk as joserfc_jwk
from joserfc import jwt as joserfc_jwt
from jwcrypto import jwk as jwcrypto_jwk  # type: ignore[import-untyped]
from jwcrypto import jwt as jwcrypto_jwt

from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.raw import OK, answering
from tests.kit.tokens import ISSUER

Jwk = dict[str, Any]
Sign = Callable[[dict[str, Any], dict[str, Any]], str]


@dataclass(frozen=True)
class Made:
    """A key with who signs by it."""

    public: Jwk
    sign: Sign


def pem(key: rsa.RSAPrivateKey) -> bytes:
    forms = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, *forms)


def certificate(key: rsa.RSAPrivateKey) -> str:
    """In base64, as `x5c` has it (RFC 7517 §4.7)."""
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "corp")]), dt.datetime.now(dt.UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
    made = made.not_valid_before(now - dt.timedelta(days=9)).not_valid_after(now - dt.timedelta(days=1))
    return base64.b64encode(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)).decode()


def by_pyjwt(algorithm: str = "RS256") -> Made:
    """RSA, with the certificate that providers publish beside it; that one is over, and nobody asks for it."""
    key = rsa.generate_private_key(65537, 2048)
    public = dict(pyjwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True))
    public.pop("key_ops", None)
    return Made({**public, "x5c": [certificate(key)]}, lambda h, c: pyjwt.encode(c, pem(key), algorithm, headers=h))


def by_joserfc(kind: str, algorithm: str) -> Made:
    size: Any = 3072 if kind == "RSA" else "P-384" if algorithm == "ES384" else "P-256"
    made: Any = joserfc_jwk.JWKRegistry.generate_key
    key = made(kind, size)
    return Made(
        key.as_dict(private=False),
        lambda h, c: str(joserfc_jwt.encode({"alg": algorithm, **h}, c, key, algorithms=[algorithm])),
    )


def by_jwcrypto(algorithm: str, **made: Any) -> Made:
    key = jwcrypto_jwk.JWK.generate(**made)

    def sign(header: dict[str, Any], claims: dict[str, Any]) -> str:
        it = jwcrypto_jwt.JWT(header={"alg": algorithm, **header}, claims=claims)
        it.make_signed_token(key)
        return str(it.serialize())

    return Made(key.export_public(as_dict=True), sign)


def encrypts() -> Jwk:
    return {**by_jwcrypto("RSA-OAEP", kty="RSA", size=2048).public, "kid": "enc", "use": "enc", "alg": "RSA-OAEP"}


def keycloak() -> tuple[list[Jwk], Made, str]:
    it = by_pyjwt()
    sig = {"kid": "k", "alg": "RS256", "use": "sig", "x5t": "x" * 27, "x5t#S256": "x" * 43}
    return [encrypts(), {**it.public, **sig}], it, "RS256"


def auth0() -> tuple[list[Jwk], Made, str]:
    it, next_one = by_pyjwt(), by_pyjwt()
    of = {"use": "sig", "alg": "RS256", "x5t": "y" * 27}
    return [{**it.public, "kid": "k", **of}, {**next_one.public, "kid": "next", **of}], it, "RS256"


def entra() -> tuple[list[Jwk], Made, str]:
    """Without `alg`."""
    it = by_pyjwt()
    of = {
        "use": "sig",
        "x5t": "k",
        "cloud_instance_name": "microsoftonline.com",
        "issuer": "https://login/{tenantid}/v2.0",
    }
    return [{**it.public, "kid": "k", **of}], it, "RS256"


def google() -> tuple[list[Jwk], Made, str]:
    it = by_joserfc("RSA", "RS256")
    return [{**by_pyjwt().public, "kid": "old"}, {**it.public, "kid": "k", "use": "sig", "alg": "RS256"}], it, "RS256"


def okta() -> tuple[list[Jwk], Made, str]:
    it = by_jwcrypto("RS256", kty="RSA", size=2048)
    return [{**it.public, "kid": "k", "use": "sig", "alg": "RS256", "status": "ACTIVE"}], it, "RS256"


def apple() -> tuple[list[Jwk], Made, str]:
    it = by_joserfc("EC", "ES256")
    return [{**it.public, "kid": "k", "use": "sig", "alg": "ES256", "key_ops": ["verify"]}], it, "ES256"


def zitadel() -> tuple[list[Jwk], Made, str]:
    it = by_joserfc("EC", "ES384")
    return [{**it.public, "kid": "k", "use": "sig"}], it, "ES384"


def hydra() -> tuple[list[Jwk], Made, str]:
    """And a curve that nobody verifies by here."""
    it, other = by_jwcrypto("EdDSA", kty="OKP", crv="Ed25519"), by_jwcrypto("ECDH-ES", kty="OKP", crv="X25519")
    return [{**other.public, "kid": "x"}, {**it.public, "kid": "k", "use": "sig", "alg": "EdDSA"}], it, "EdDSA"


def by_pss() -> tuple[list[Jwk], Made, str]:
    it = by_jwcrypto("PS512", kty="RSA", size=2048)
    return [{**it.public, "kid": "k"}], it, "PS512"


def on_p521() -> tuple[list[Jwk], Made, str]:
    it = by_jwcrypto("ES512", kty="EC", crv="P-521")
    return [{**it.public, "kid": "k"}], it, "ES512"


PROVIDERS = [keycloak, auth0, entra, google, okta, apple, zitadel, hydra, by_pss, on_p521]


def test_tokens_of_libraries_that_others_wrote_pass_by_the_keys_that_providers_publish(
    edge: Callable[..., EdgeKit], pki: Pki, raw: Callable[..., Raw], tmp_path: Path
) -> None:
    behind, text, tokens = raw(answering(OK)), "", {}
    for provider in PROVIDERS:
        name = provider.__name__
        keys, made, algorithm = provider()
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps({"keys": keys}))
        text += (
            f'[[issuer]]\nname = "{name}"\nissuer = "{ISSUER}/{name}"\naudience = "api"\n'
            f'algorithms = ["{algorithm}"]\nkeys = {{ file = "{path}" }}\n'
            f'[[route]]\nname = "{name}"\nhost = "a.test"\npath = "/{name}"\ntls = "plaintext"\n'
            f'to = ["127.0.0.1:{behind.port}"]\njwt = {{ issuer = "{name}" }}\n'
        )
        claims = {"iss": f"{ISSUER}/{name}", "aud": ["api", "other"], "sub": "alice", "exp": int(time.time()) + 600}
        tokens[name] = [made.sign({"kid": "k"}, claims), made.sign({}, claims)]
    it = edge(text)

    def ask(path: str, token: str) -> int:
        with tls(it.port, "a.test", pki.public.file) as sock:
            sent = f"GET /{path} HTTP/1.1\r\nHost: a.test\r\nAuthorization: Bearer {token}\r\n\r\n"
            return exchange(sock, sent).status

    assert {name: [ask(name, token) for token in of] for name, of in tokens.items()} == {n: [200, 200] for n in tokens}
    other = dict(zip(tokens, [*list(tokens)[1:], next(iter(tokens))], strict=True))
    assert {ask(name, tokens[of][0]) for name, of in other.items()} == {401}, "each verifies its own alone"


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda it: it.__name__)
def test_what_such_a_set_holds_that_verifies_nothing_is_left_out_and_no_more(
    provider: Callable[[], tuple[list[Jwk], Made, str]],
) -> None:
    from everyhop import _door

    keys, _, algorithm = provider()
    count, algorithms, left_out = _door.judge_keys(json.dumps({"keys": keys}))
    assert algorithm in algorithms
    assert {kid for _, kid, _ in left_out} == {it["kid"] for it in keys} & {"enc", "x"}
    assert count == len(keys) - len(left_out)

"""Whoever asks an authority: first for its root, which is known by the fingerprint in the token, and then, over a connection that is
verified by that, for a certificate. Nothing secret is said before."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from everyhop.authority import certify
from everyhop.authority.certify import pem
from everyhop.authority.enrolment import Token
from everyhop.authority.generation import open_key
from everyhop.errors import Declined, Surroundings

PATIENCE_S = 30.0
MOST_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Given:
    """What came back, and the key that never left."""

    chain_pem: bytes = field(repr=False)
    key_pem: bytes = field(repr=False)
    roots_pem: bytes = field(repr=False)
    lists_pem: bytes = field(repr=False)


def enroll(token: Token, host: str, port: int) -> Given:
    """Raises `Surroundings` where the authority is not reached or is another, `Declined` where it refuses."""
    root = trusted_by(token, asked(unverified(), host, port, "GET", "/roots"), f"{host}:{port}")
    shown = base64.urlsafe_b64encode(token.secret).decode()
    return given(verified(root), host, port, "/enrol", {"Authorization": f"Bearer {shown}"})


def renew(roots: bytes, chain: Path, key: Path, host: str, port: int) -> Given:
    """Another one for the certificate that is there.

    Raises as `enroll`.
    """
    context = verified(roots)
    try:
        context.load_cert_chain(chain, key)
    except (OSError, ssl.SSLError) as e:
        raise Surroundings(f"{chain} and {key} are no pair that can be shown: {e}") from e
    return given(context, host, port, "/renew", {})


def published(roots: bytes, host: str, port: int) -> tuple[bytes, bytes]:
    """The roots and lists of now. Raises as `enroll`."""
    context = verified(roots)
    found, lists = (asked(context, host, port, "GET", path) for path in ("/roots", "/lists"))
    try:
        x509.load_pem_x509_certificates(found)
    except Exception as e:
        raise Surroundings(f"{host}:{port} gave no roots that can be read; nothing was kept") from e
    return found, lists


def unverified() -> ssl.SSLContext:
    """For what is known by its fingerprint, and nothing else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def verified(roots: bytes) -> ssl.SSLContext:
    """Raises `Surroundings` for what holds no roots."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(cadata=roots.decode())
    except (ssl.SSLError, ValueError) as e:
        why = "the roots by which the authority is believed cannot be read; nothing was said to it"
        raise Surroundings(why, "  get them anew, by a token: everyhop ca enroll") from e
    return context


def trusted_by(token: Token, data: bytes, where: str) -> bytes:
    """The root that the token means. Raises `Surroundings` where it is not among them."""
    try:
        found = x509.load_pem_x509_certificates(data)
    except Exception:  # bytes of a stranger
        found = []
    for it in found:
        if it.fingerprint(hashes.SHA256()) == token.root_sha256:
            return pem(it)
    raise Surroundings(
        f"{where} is not the authority that the token is of, or its root is new since; nothing was said to it",
        "  check the address, or have another token made",
    )


def given(context: ssl.SSLContext, host: str, port: int, path: str, headers: dict[str, str]) -> Given:
    key = certify.new_key()
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    data = asked(context, host, port, "POST", path, csr.public_bytes(Encoding.PEM), headers)
    try:
        told = json.loads(data)
        chain, roots, lists = (str(told[what]).encode() for what in ("chain", "roots", "lists"))
        mine = x509.load_pem_x509_certificates(chain)[0].public_key() == key.public_key()
        x509.load_pem_x509_certificates(roots)
    except Exception as e:
        raise Surroundings(f"{host}:{port} gave no certificate that can be read; nothing was kept") from e
    if not mine:
        raise Surroundings(f"{host}:{port} gave a certificate of another key; nothing was kept")
    return Given(chain, open_key(key), roots, lists)


def asked(
    context: ssl.SSLContext,
    host: str,
    port: int,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> bytes:
    """The body of a 200, whole: whoever ends a connection on its way could else leave out the last of the lists."""
    connection = http.client.HTTPSConnection(host, port, timeout=PATIENCE_S, context=context)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        length = answer.length
        data = answer.read(MOST_BYTES)
    except ssl.SSLCertVerificationError as e:
        raise Surroundings(f"{host}:{port} is not believed: {e.verify_message}; nothing was said to it") from e
    # Of a label that is empty or too long a resolver is never asked.
    except (OSError, UnicodeError, http.client.HTTPException) as e:
        raise Surroundings(f"{host}:{port} did not answer: {e}") from e
    finally:
        connection.close()
    if answer.status != 200:
        raise Declined(f"{host}:{port} answered {answer.status}: {why(data)}")
    if length is None or length > MOST_BYTES:
        says = "does not say how long its answer is" if length is None else f"gives more than {MOST_BYTES} bytes"
        raise Surroundings(f"{host}:{port} {says}; nothing was kept")
    if len(data) != length:
        raise Surroundings(f"the answer of {host}:{port} was cut short; nothing was kept")
    return data


def why(data: bytes) -> str:
    try:
        return str(json.loads(data)["why"])
    except (ValueError, KeyError, TypeError):
        return "and did not say why"

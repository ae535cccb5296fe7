"""Reading chains, keys and roots with pyca/cryptography. What cannot be used says why; nothing falls back to anything.

A stranger's file may hold anything: whatever reading it raises is one `Unusable`, never an error of ours.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from everyhop import _door
from everyhop.identity.chain import broken, shown, staple_demanded
from everyhop.identity.keys import key_bytes, kind_of, named
from everyhop.identity.mark import Mark
from everyhop.identity.pem import instead, key_block
from everyhop.identity.tokens import TokenKey, in_token, read_token_key
from everyhop.identity.unusable import Unusable, read

SYSTEM = "system"
BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.S)


@dataclass(frozen=True)
class Pair:
    """A chain with its key. The key's bytes are for the engine alone: they do not show in `repr`; of a key that a token has there are
    none."""

    chain_pem: bytes = field(repr=False)
    key_pem: bytes = field(repr=False)
    certs: tuple[x509.Certificate, ...] = field(repr=False)
    names: tuple[str, ...]
    not_before: dt.datetime
    not_after: dt.datetime
    chain_sha256: str
    key_sha256: str
    files: dict[Path, Mark]
    token: TokenKey | None = None


@dataclass(frozen=True)
class Roots:
    """A CA bundle."""

    pem: bytes = field(repr=False)
    sha256: str
    files: dict[Path, Mark]
    certs: tuple[x509.Certificate, ...] = field(repr=False, default=())
    """None of a bundle that somebody else keeps."""
    weak: tuple[str, ...] = ()
    """Each certificate of it by which nothing can be verified, in words."""
    own: tuple[x509.Certificate, ...] = field(repr=False, default=())
    """Those that sign for themselves and for nobody else: backends' own, where nothing but those is there."""


def sha256(data: bytes) -> str:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(data)
    return digest.finalize().hex()


@contextlib.contextmanager
def judged(path: Path | str, slug: str, mend: str) -> Iterator[None]:
    """What is done to bytes of a stranger: curves that nobody knows, names that are none, dates before the calendar."""
    try:
        yield
    except Unusable:
        raise
    except Exception as e:
        raise Unusable(slug, f"{path} cannot be read: {type(e).__name__}: {e}", mend) from e


def certificates(pem: bytes, path: Path, slug: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as e:
        what, mend = instead(pem, str(path), "certificate")
        raise Unusable(slug, what, mend) from e


def names_of(leaf: x509.Certificate) -> tuple[str, ...]:
    """DNS and IP names; the common name is no name (RFC 9525 §6.3)."""
    try:
        san = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    dns = [name.lower() for name in san.get_values_for_type(x509.DNSName)]
    return (*dns, *(str(ip) for ip in san.get_values_for_type(x509.IPAddress)))


def read_names(chain: str, base: Path) -> tuple[str, ...]:
    """The names in the first certificate of a chain; its key is not looked at.

    Raises `Unusable`.
    """
    path = base / chain
    pem, _ = read(path, "certificate/unreadable")
    with judged(path, "certificate/unreadable", "give a certificate as PEM"):
        return names_of(certificates(pem, path, "certificate/unreadable")[0])


def read_pair(chain: str, key: str, base: Path, environ: Mapping[str, str]) -> Pair:
    """Reads a chain and its key and checks that they belong together; a key that a token has is asked for that later. `environ` holds
    what `env:` and `cred:` name.

    Raises `Unusable`.
    """
    chain_path = base / chain
    chain_pem, seen = read(chain_path, "certificate/unreadable")
    if in_token(key):
        return read_pair_in_token(chain_pem, key, chain_path, seen, base, environ)
    key_pem, key_file = key_bytes(key, base, environ)
    mend = "give a certificate on a curve that TLS knows, P-256 or P-384, or of RSA, as PEM"
    with judged(chain_path, "certificate/unreadable", mend):
        found = certificates(chain_pem, chain_path, "certificate/unreadable")
        whole(found, chain_path)
        return pair_of(found, chain_path, key_pem, named(key, base), {chain_path: seen, **key_file})


def read_pair_in_token(
    chain_pem: bytes, key: str, chain_path: Path, seen: Mark, base: Path, environ: Mapping[str, str]
) -> Pair:
    with judged(chain_path, "certificate/unreadable", "give a certificate on P-256 or P-384, or of RSA, as PEM"):
        found = certificates(chain_pem, chain_path, "certificate/unreadable")
        whole(found, chain_path)
        shown_pem = b"".join(c.public_bytes(Encoding.PEM) for c in found)
        if (why := _door.judge_chain(shown_pem.decode())) is not None:
            mend = "have it issued anew by an authority that writes version 3 with its names: subjectAltName"
            raise Unusable("certificate/unusable", f"{chain_path}: the first certificate {why}", mend)
        token, pin_file = read_token_key(key, found[0], base, environ)
        return told(found, shown_pem, b"", {chain_path: seen, **pin_file}, token)


def whole(found: list[x509.Certificate], chain_path: Path) -> None:
    """Raises `Unusable` for a chain that everybody, or whoever obeys it, would refuse."""
    if (wrong := broken(tuple(found))) is not None:
        raise Unusable("certificate/chain-broken", f"{chain_path}: {wrong[0]}", wrong[1])
    if (why := staple_demanded(found[0])) is not None:
        mend = "have one issued without it; short lifetimes have taken its place"
        raise Unusable("certificate/unusable", f"{chain_path}: the first certificate cannot be used: {why}", mend)


def pair_of(found: list[x509.Certificate], chain_path: Path, key_pem: bytes, key: str, files: dict[Path, Mark]) -> Pair:
    """The pair, if an engine takes it, which is asked itself."""
    leaf = found[0]
    # A curve that nobody knows is told here, before it is taken for another's key.
    leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    key_pem = key_block(key_pem, key)
    chain_pem = b"".join(c.public_bytes(Encoding.PEM) for c in found)
    match _door.judge_pair(chain_pem.decode(), key_pem):
        case ("chain", why):
            mend = "have it issued anew by an authority that writes version 3 with its names: subjectAltName"
            raise Unusable("certificate/unusable", f"{chain_path}: the first certificate {why}", mend)
        case ("key", _):
            raise unusable_key(key_pem, key)
        case ("both", _):
            mend = "give the key that the certificate was issued for, leaf first"
            what = f"the key {key} does not belong to the first certificate of {chain_path}"
            raise Unusable("certificate/key-mismatch", what, mend, "key")
    return told(found, chain_pem, key_pem, files)


def told(
    found: list[x509.Certificate],
    chain_pem: bytes,
    key_pem: bytes,
    files: dict[Path, Mark],
    token: TokenKey | None = None,
) -> Pair:
    leaf = found[0]
    public = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return Pair(
        chain_pem=chain_pem,
        key_pem=key_pem,
        certs=tuple(found),
        names=names_of(leaf),
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
        chain_sha256=sha256(b"".join(c.public_bytes(Encoding.DER) for c in found)),
        key_sha256=sha256(public),
        files=files,
        token=token,
    )


def unusable_key(pem: bytes, key: str) -> Unusable:
    """Of a key that no engine takes: of which kind it is, if it can be read at all."""
    mend = "make one that TLS uses here, and have it certified: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256"
    try:
        kind = kind_of(load_pem_private_key(pem, password=None).public_key())
    except (ValueError, UnsupportedAlgorithm):
        return Unusable(
            "certificate/unreadable", f"{key} holds no PEM key that can be read", "give an unencrypted PEM key", "key"
        )
    takes = "RSA of 2048 to 8192 bits, P-256, P-384, P-521 and Ed25519 can be used"
    return Unusable("certificate/unusable", f"the key {key} is {kind}; {takes}", mend, "key")


def system_roots() -> Path:
    # Imported where it is used: it brings a second library of cryptography, of which nothing else is asked here.
    import ssl

    paths = ssl.get_default_verify_paths()
    candidates = (
        paths.cafile,
        paths.openssl_cafile,
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
    )
    for candidate in candidates:
        if candidate and Path(candidate).is_file():
            return Path(candidate)
    raise Unusable("ca/unusable", "this machine has no system CA bundle", "install ca-certificates, or name a CA file")


def read_roots(label: str, base: Path, *, own: bool = False) -> Roots:
    """Reads a CA bundle, or the system's for `system`. `own`: a certificate that a backend made for itself may stand in it.

    Raises `Unusable` where it gives no root.
    """
    path = system_roots() if label == SYSTEM else base / label
    pem, seen = read(path, "ca/unusable")
    with judged(path, "ca/unusable", "give the issuer's certificate as PEM"):
        return roots_of(label, pem, path, {path: seen}, own)


def roots_of(label: str, pem: bytes, path: Path, files: dict[Path, Mark], own: bool) -> Roots:
    if label == SYSTEM:
        # Somebody else keeps this bundle: some of its roots break rules that we hold others to.
        blocks = BLOCK.findall(pem)
        if not blocks:
            raise Unusable(
                "ca/unusable", f"{path} holds no PEM certificate", "install ca-certificates, or name a CA file"
            )
        kept = b"\n".join(blocks) + b"\n"
        kept.decode()
        return Roots(pem=kept, sha256=sha256(kept), files=files)
    found = certificates(pem, path, "ca/unusable")
    alone = []
    for cert in found:
        try:
            constraints = cert.extensions.get_extension_for_class(x509.BasicConstraints).value
        except x509.ExtensionNotFound:
            continue
        if constraints.ca:
            continue
        if not own or cert.issuer != cert.subject:
            pin = f', or pin this one: pin = "sha256:{sha256(cert.public_bytes(Encoding.DER))}"' if own else ""
            raise Unusable(
                "ca/unusable",
                f"{path} holds {cert.subject.rfc4514_string()!r}, which is no CA",
                f"give the issuer's certificate, not the server's{pin}",
            )
        alone.append(cert)
    kept = b"".join(c.public_bytes(Encoding.PEM) for c in found)
    unusable = [f"{shown(found[i].subject)} {why}" for i, why in _door.judge_roots(kept.decode())]
    weak = [
        f"{shown(c.subject)} has a key that nothing here verifies by: {kind_of(c.public_key())}"
        for c in found
        if not verifies(c)
    ]
    told = tuple(f"{path}: {it}" for it in (*unusable, *weak))
    if len(told) >= len(found):
        raise Unusable(
            "ca/unusable", told[0], "give an authority whose key is RSA of 2048 bits, P-256 or P-384 at least"
        )
    digest = sha256(b"".join(c.public_bytes(Encoding.DER) for c in found))
    mine = tuple(alone) if len(alone) == len(found) else ()
    return Roots(pem=kept, sha256=digest, files=files, certs=tuple(found), weak=told, own=mine)


def verifies(root: x509.Certificate) -> bool:
    """Whether signatures by its key are judged at all: webpki knows RSA from 2048 bits on, three curves and Ed25519."""
    key = root.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return 2048 <= key.key_size <= 8192
    if isinstance(key, ec.EllipticCurvePublicKey):
        return isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1)
    return isinstance(key, ed25519.Ed25519PublicKey)

"""Reading chains, keys and roots with pyca/cryptography. What cannot be used says why; nothing falls back to anything."""

from __future__ import annotations

import datetime as dt
import os
import re
import ssl
import stat
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

SYSTEM = "system"
BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.S)


class Unusable(Exception):
    """A certificate, key or CA file that cannot be used; `slug` names the refusal, `mend` the way out."""

    def __init__(self, slug: str, what: str, mend: str) -> None:
        super().__init__(what)
        self.slug, self.what, self.mend = slug, what, mend


@dataclass(frozen=True)
class Pair:
    """A chain with its key. The key's bytes are for the engine alone: they do not show in `repr`."""

    chain_pem: bytes = field(repr=False)
    key_pem: bytes = field(repr=False)
    names: tuple[str, ...]
    not_before: dt.datetime
    not_after: dt.datetime
    chain_sha256: str
    key_sha256: str
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Roots:
    """A CA bundle."""

    pem: bytes = field(repr=False)
    sha256: str
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Crl:
    """Revocation lists. `next_update` is the earliest of theirs."""

    pem: bytes = field(repr=False)
    sha256: str
    next_update: dt.datetime
    files: tuple[Path, ...]


def sha256(data: bytes) -> str:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(data)
    return digest.finalize().hex()


def read(path: Path, slug: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        raise Unusable(slug, f"{path}: {e.strerror}", "check the path and that everyhop may read it") from e


def certificates(pem: bytes, path: Path, slug: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as e:
        raise Unusable(slug, f"{path} holds no PEM certificate", "give a PEM file with at least one certificate") from e


def names_of(leaf: x509.Certificate) -> tuple[str, ...]:
    """DNS and IP names; the common name is no name (RFC 9525 §6.3)."""
    try:
        san = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    dns = [name.lower() for name in san.get_values_for_type(x509.DNSName)]
    return (*dns, *(str(ip) for ip in san.get_values_for_type(x509.IPAddress)))


def key_bytes(reference: str, base: Path) -> tuple[bytes, Path | None]:
    """The key that `file:`, `env:` or `cred:` refers to."""
    kind, _, rest = reference.partition(":")
    if kind == "env":
        value = os.environ.get(rest)
        if value is None:
            raise Unusable("certificate/unreadable", f"the environment has no {rest}", f"set {rest} to the key's PEM")
        return value.encode(), None
    if kind == "cred":
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        if folder is None:
            raise Unusable(
                "certificate/unreadable",
                f"there is no systemd credential {rest}",
                "run under systemd with LoadCredential=",
            )
        path = Path(folder) / rest
    else:
        path = base / rest
    data = read(path, "certificate/unreadable")
    mode = path.stat().st_mode
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise Unusable(
            "certificate/key-exposed",
            f"{path} can be used by others (mode {stat.S_IMODE(mode):04o})",
            f"chmod 600 {path}",
        )
    return data, path


def read_pair(chain: str, key: str, base: Path) -> Pair:
    """Reads a chain and its key and checks that they belong together.

    Raises `Unusable`.
    """
    chain_path = base / chain
    chain_pem = read(chain_path, "certificate/unreadable")
    leaf, *issuers = certificates(chain_pem, chain_path, "certificate/unreadable")
    for child, parent in zip([leaf, *issuers], issuers, strict=False):
        if child.issuer != parent.subject:
            raise Unusable(
                "certificate/unreadable",
                f"{chain_path} is not in order: {parent.subject.rfc4514_string()!r} did not issue the certificate before it",
                "put the leaf first, then each issuer",
            )
    key_pem, key_path = key_bytes(key, base)
    try:
        private = load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as e:
        raise Unusable(
            "certificate/unreadable",
            f"{key.partition(':')[2]} holds no PEM key without a password",
            "give an unencrypted PEM key",
        ) from e
    public = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if public != leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo):
        raise Unusable(
            "certificate/key-mismatch",
            f"the key {key} does not belong to the first certificate of {chain_path}",
            "give the key that the certificate was issued for, leaf first",
        )
    return Pair(
        chain_pem=b"".join(c.public_bytes(Encoding.PEM) for c in [leaf, *issuers]),
        key_pem=key_pem,
        names=names_of(leaf),
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
        chain_sha256=sha256(b"".join(c.public_bytes(Encoding.DER) for c in [leaf, *issuers])),
        key_sha256=sha256(public),
        files=(chain_path, *((key_path,) if key_path else ())),
    )


def system_roots() -> Path:
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


def read_roots(label: str, base: Path) -> Roots:
    """Reads a CA bundle, or the system's for `system`.

    Raises `Unusable` where it gives no root.
    """
    path = system_roots() if label == SYSTEM else base / label
    pem = read(path, "ca/unusable")
    if label == SYSTEM:
        # Somebody else keeps this bundle: some of its roots break rules that we hold others to.
        blocks = BLOCK.findall(pem)
        if not blocks:
            raise Unusable(
                "ca/unusable", f"{path} holds no PEM certificate", "install ca-certificates, or name a CA file"
            )
        kept = b"\n".join(blocks) + b"\n"
        return Roots(pem=kept, sha256=sha256(kept), files=(path,))
    found = certificates(pem, path, "ca/unusable")
    for cert in found:
        try:
            constraints = cert.extensions.get_extension_for_class(x509.BasicConstraints).value
        except x509.ExtensionNotFound:
            continue
        if not constraints.ca:
            raise Unusable(
                "ca/unusable",
                f"{path} holds {cert.subject.rfc4514_string()!r}, which is no CA",
                "give the issuer's certificate, not the server's",
            )
    kept = b"".join(c.public_bytes(Encoding.PEM) for c in found)
    return Roots(pem=kept, sha256=sha256(b"".join(c.public_bytes(Encoding.DER) for c in found)), files=(path,))


CRL_BLOCK = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.S)


def read_crl(label: str, roots: Roots, base: Path) -> Crl:
    """Reads revocation lists (RFC 5280 §5), each signed by one of `roots` or named by a chain below them.

    Raises `Unusable`: a list that cannot be read revokes nobody, and nobody would notice.
    """
    path = base / label
    pem = read(path, "crl/unusable")
    mend = "give the authority's list as PEM: openssl crl -inform DER -in list.crl -out list.pem"
    try:
        lists = [x509.load_pem_x509_crl(block) for block in CRL_BLOCK.findall(pem)]
    except ValueError as e:
        raise Unusable("crl/unusable", f"{path} holds a revocation list that cannot be read", mend) from e
    if not lists:
        raise Unusable("crl/unusable", f"{path} holds no PEM revocation list", mend)
    issuers = {c.subject: c for c in x509.load_pem_x509_certificates(roots.pem)}
    for it in lists:
        issuer = issuers.get(it.issuer)
        if issuer is not None and not it.is_signature_valid(issuer.public_key()):  # type: ignore[arg-type]
            raise Unusable(
                "crl/unusable",
                f"{path}: the list of {it.issuer.rfc4514_string()!r} is not signed by that authority",
                mend,
            )
        if it.next_update_utc is None:
            raise Unusable(
                "crl/unusable",
                f"{path}: the list of {it.issuer.rfc4514_string()!r} does not say when the next one comes",
                "have the authority set nextUpdate: without it a stale list looks fresh for ever",
            )
    if not any(it.issuer in issuers for it in lists):
        raise Unusable("crl/unusable", f"{path} holds no list of an authority that clients are verified against", mend)
    return Crl(
        pem=b"".join(it.public_bytes(Encoding.PEM) for it in lists),
        sha256=sha256(b"".join(it.public_bytes(Encoding.DER) for it in lists)),
        next_update=min(it.next_update_utc for it in lists if it.next_update_utc),
        files=(path,),
    )

"""Reading chains, keys and roots with pyca/cryptography. What cannot be used says why; nothing falls back to anything.

A stranger's file may hold anything: whatever reading it raises is one `Unusable`, never an error of ours.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import re
import ssl
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from everyhop.identity.mark import Mark, mark

SYSTEM = "system"
BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.S)


Half = Literal["chain", "key"]


class Unusable(Exception):
    """A certificate, key or CA file that cannot be used; `slug` names the refusal, `mend` the way out.

    `of` is the half of a pair that is at fault, so that the finding stands at that very line.
    """

    def __init__(self, slug: str, what: str, mend: str, of: Half = "chain") -> None:
        super().__init__(what)
        self.slug, self.what, self.mend, self.of = slug, what, mend, of


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
    files: dict[Path, Mark]


@dataclass(frozen=True)
class Roots:
    """A CA bundle."""

    pem: bytes = field(repr=False)
    sha256: str
    files: dict[Path, Mark]


@dataclass(frozen=True)
class Crl:
    """Revocation lists. `next_update` is the earliest of theirs."""

    pem: bytes = field(repr=False)
    sha256: str
    next_update: dt.datetime
    files: dict[Path, Mark]


def sha256(data: bytes) -> str:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(data)
    return digest.finalize().hex()


def read(path: Path, slug: str, of: Half = "chain") -> tuple[bytes, Mark]:
    """What stands in the file, and its mark from before that was read: a change while we read is still a change."""
    try:
        with path.open("rb") as file:
            before = mark(os.fstat(file.fileno()))
            return file.read(), before
    except (OSError, ValueError) as e:
        why = e.strerror if isinstance(e, OSError) else e
        raise Unusable(slug, f"{path}: {why}", "check the path and that everyhop may read it", of) from e


@contextlib.contextmanager
def judged(path: Path, slug: str, mend: str) -> Iterator[None]:
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
        raise Unusable(slug, f"{path} holds no PEM certificate", "give a PEM file with at least one certificate") from e


def names_of(leaf: x509.Certificate) -> tuple[str, ...]:
    """DNS and IP names; the common name is no name (RFC 9525 §6.3)."""
    try:
        san = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    dns = [name.lower() for name in san.get_values_for_type(x509.DNSName)]
    return (*dns, *(str(ip) for ip in san.get_values_for_type(x509.IPAddress)))


def key_bytes(reference: str, base: Path, environ: Mapping[str, str]) -> tuple[bytes, dict[Path, Mark]]:
    """The key and the file that `file:`, `env:` or `cred:` refers to."""
    kind, _, rest = reference.partition(":")
    if kind == "env":
        value = environ.get(rest)
        if value is None:
            what, mend = f"the environment has no {rest}", f"set {rest} to the key's PEM"
            raise Unusable("certificate/unreadable", what, mend, "key")
        return value.encode(), {}
    if kind == "cred":
        folder = environ.get("CREDENTIALS_DIRECTORY")
        if folder is None:
            what, mend = f"there is no systemd credential {rest}", "run under systemd with LoadCredential="
            raise Unusable("certificate/unreadable", what, mend, "key")
        path = Path(folder) / rest
    else:
        path = base / rest
    data, seen = read(path, "certificate/unreadable", "key")
    if seen.mode & (stat.S_IRWXO | stat.S_IWGRP):
        what = f"{path} can be used by others (mode {stat.S_IMODE(seen.mode):04o})"
        raise Unusable("certificate/key-exposed", what, f"chmod 600 {path}", "key")
    return data, {path: seen}


def read_names(chain: str, base: Path) -> tuple[str, ...]:
    """The names in the first certificate of a chain; its key is not looked at.

    Raises `Unusable`.
    """
    path = base / chain
    pem, _ = read(path, "certificate/unreadable")
    with judged(path, "certificate/unreadable", "give a certificate as PEM"):
        return names_of(certificates(pem, path, "certificate/unreadable")[0])


def read_pair(chain: str, key: str, base: Path, environ: Mapping[str, str]) -> Pair:
    """Reads a chain and its key and checks that they belong together. `environ` holds what `env:` and `cred:` name.

    Raises `Unusable`.
    """
    chain_path = base / chain
    chain_pem, seen = read(chain_path, "certificate/unreadable")
    key_pem, key_file = key_bytes(key, base, environ)
    mend = "give a certificate on a curve that TLS knows, P-256 or P-384, or of RSA, as PEM"
    with judged(chain_path, "certificate/unreadable", mend):
        return pair_of(chain_pem, chain_path, key_pem, key, {chain_path: seen, **key_file})


def pair_of(chain_pem: bytes, chain_path: Path, key_pem: bytes, key: str, files: dict[Path, Mark]) -> Pair:
    leaf, *issuers = certificates(chain_pem, chain_path, "certificate/unreadable")
    for child, parent in zip([leaf, *issuers], issuers, strict=False):
        if child.issuer != parent.subject:
            raise Unusable(
                "certificate/unreadable",
                f"{chain_path} is not in order: {parent.subject.rfc4514_string()!r} did not issue the certificate before it",
                "put the leaf first, then each issuer",
            )
    try:
        key_pem.decode()
        private = load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as e:
        raise Unusable(
            "certificate/unreadable",
            f"{key.partition(':')[2]} holds no PEM key without a password",
            "give an unencrypted PEM key",
            "key",
        ) from e
    public = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if public != leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo):
        raise Unusable(
            "certificate/key-mismatch",
            f"the key {key} does not belong to the first certificate of {chain_path}",
            "give the key that the certificate was issued for, leaf first",
            "key",
        )
    return Pair(
        chain_pem=b"".join(c.public_bytes(Encoding.PEM) for c in [leaf, *issuers]),
        key_pem=key_pem,
        names=names_of(leaf),
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
        chain_sha256=sha256(b"".join(c.public_bytes(Encoding.DER) for c in [leaf, *issuers])),
        key_sha256=sha256(public),
        files=files,
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
    pem, seen = read(path, "ca/unusable")
    with judged(path, "ca/unusable", "give the issuer's certificate as PEM"):
        return roots_of(label, pem, path, {path: seen})


def roots_of(label: str, pem: bytes, path: Path, files: dict[Path, Mark]) -> Roots:
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
    return Roots(pem=kept, sha256=sha256(b"".join(c.public_bytes(Encoding.DER) for c in found)), files=files)


CRL_BLOCK = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.S)


def read_crl(label: str, roots: Roots, base: Path) -> Crl:
    """Reads revocation lists (RFC 5280 §5), each signed by one of `roots` or named by a chain below them.

    Raises `Unusable`: a list that cannot be read revokes nobody, and nobody would notice.
    """
    path = base / label
    pem, seen = read(path, "crl/unusable")
    mend = "give the authority's list as PEM: openssl crl -inform DER -in list.crl -out list.pem"
    with judged(path, "crl/unusable", mend):
        return crl_of(pem, roots, path, mend, {path: seen})


def crl_of(pem: bytes, roots: Roots, path: Path, mend: str, files: dict[Path, Mark]) -> Crl:
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
        files=files,
    )

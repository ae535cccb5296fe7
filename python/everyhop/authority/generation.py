"""A generation: a root and what it signed to issue from day to day, in a folder of their number. Made whole, or not there."""

from __future__ import annotations

import contextlib
import datetime as dt
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from everyhop.authority import certify
from everyhop.authority.certify import Signer, pem
from everyhop.authority.folder import PUBLIC, SECRET, content, replace, secret
from everyhop.authority.policy import Policy
from everyhop.errors import Misuse, Surroundings
from everyhop.files import synced

ROOT, ROOT_KEY, ROOT_LIST = "root.pem", "root.key", "root.crl.pem"
LAST_LIST = "root.alone.crl.pem"
"""The root's list from the moment on at which this issuing authority is the only one below it."""
ISSUING, ISSUING_KEY = "issuing.pem", "issuing.key"


@dataclass(frozen=True)
class Generation:
    """What of it everybody may see."""

    number: int
    folder: Path
    root: x509.Certificate
    issuing: x509.Certificate
    root_list: x509.CertificateRevocationList
    alone_list: x509.CertificateRevocationList
    """Once no other generation below that root is trusted: those before are on it."""

    def signer(self) -> Signer:
        """Who issues.

        Raises `Surroundings`.
        """
        path = self.folder / ISSUING_KEY
        return Signer(self.issuing, key_in(secret(path), path, None))


def key_in(data: bytes, path: Path, passphrase: bytes | None) -> ec.EllipticCurvePrivateKey:
    """Raises `Misuse` for a passphrase that does not fit, `Surroundings` for a file that is none."""
    try:
        key = load_pem_private_key(data, passphrase)
    except (ValueError, TypeError) as e:
        if passphrase is not None:
            raise Misuse(f"the passphrase does not open {path}; nothing was done") from e
        raise Surroundings(f"{path} is damaged: it holds no PEM key", "  put back the last copy of it") from e
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise Surroundings(f"{path} is damaged: it holds a key of another kind", "  put back the last copy of it")
    return key


def read(home: Path, number: int) -> Generation:
    """Raises `Surroundings`."""
    folder = home / str(number)
    try:
        listed = x509.load_pem_x509_crl(content(folder / ROOT_LIST))
        return Generation(
            number,
            folder,
            x509.load_pem_x509_certificate(content(folder / ROOT)),
            x509.load_pem_x509_certificate(content(folder / ISSUING)),
            listed,
            x509.load_pem_x509_crl(content(folder / LAST_LIST)) if (folder / LAST_LIST).exists() else listed,
        )
    except Surroundings:
        raise
    except Exception as e:
        raise Surroundings(f"{folder} is damaged: {e}", "  put back the last copy of it") from e


def opened_root(it: Generation, key: Path | None, passphrase: bytes) -> Signer:
    """The root of a generation, whose key may lie elsewhere.

    Raises `Misuse` where it is not that root's.
    """
    path = key or it.folder / ROOT_KEY
    found = Signer(it.root, key_in(secret(path), path, passphrase))
    if found.key.public_key() != it.root.public_key():
        raise Misuse(f"{path} is not the key of {it.folder / ROOT}; nothing was done")
    return found


def make(
    home: Path,
    number: int,
    policy: Policy,
    passphrase: bytes,
    now: dt.datetime,
    below: tuple[Signer, Generation] | None,
) -> None:
    """Makes the folder, with a root of its own or one `below` a root that is there, as the successor of that generation: the
    root's key is at hand now, and not on the day on which that one is retired, so what takes it back is signed now and kept.

    Raises `Surroundings`, and then it is not there.
    """
    root = below[0] if below else certify.root(policy, number, now)
    issuing = certify.issuing(policy, number, root, now)
    # They speak of authorities, and whoever renews one has the root's key at hand: so they last as long.
    ends = issuing.cert.not_valid_after_utc
    gone = () if below is None else tuple(below[1].alone_list)
    # Each root's lists count up: the first generation has the one of its number, and what follows has two.
    listed = certify.revocations(root, gone, number if below is None else 2 * number, now, ends)
    alone = None
    if below is not None:
        gone = (*gone, certify.revoked(below[1].issuing.serial_number, now, "superseded"))
        alone = certify.revocations(root, gone, 2 * number + 1, now, ends)
    try:
        beside = Path(tempfile.mkdtemp(dir=home, prefix=".new-"))
        try:
            replace(beside / ROOT, pem(root.cert), PUBLIC)
            if below is None:
                replace(beside / ROOT_KEY, locked_key(root, passphrase), SECRET)
            replace(beside / ROOT_LIST, pem(listed), PUBLIC)
            if alone is not None:
                replace(beside / LAST_LIST, pem(alone), PUBLIC)
            replace(beside / ISSUING, pem(issuing.cert), PUBLIC)
            replace(beside / ISSUING_KEY, open_key(issuing.key), SECRET)
            synced(beside)
            beside.rename(home / str(number))
            synced(home)
        finally:
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(beside)
    except OSError as e:
        raise Surroundings(f"cannot write in {home}: {e.strerror}") from e


def locked_key(it: Signer, passphrase: bytes) -> bytes:
    return it.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase))


def open_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

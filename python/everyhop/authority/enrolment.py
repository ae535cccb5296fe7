"""How somebody comes to a certificate without a person in between: by a token that is good once, and later by the certificate that
it became. A token is 256 random bits with the fingerprint of the root, so that whoever shows it knows to whom; kept is a hash of it."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import secrets
import string
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from everyhop.authority import generation, index
from everyhop.authority.acts import Authority, Issued, fits
from everyhop.authority.certify import serial_of
from everyhop.authority.index import Index, Invitation
from everyhop.authority.names import Name, named
from everyhop.authority.request import certified, judged
from everyhop.errors import Declined, Misuse

BYTES = 32
MARK = "ehca1"
LONGEST = dt.timedelta(days=1)
FEWEST_DIGITS = 8
"""Of a hash: as it is listed with twelve, no two are meant by accident."""
WHERE = "the request"


class Unknown(Declined):
    """A token that is not good, or a certificate that is not in force: which of the reasons it is, nobody is told."""


@dataclass(frozen=True)
class Token:
    """What is given to somebody. It does not show in `repr`."""

    secret: bytes = field(repr=False)
    root_sha256: bytes = field(repr=False)

    def __str__(self) -> str:
        return ".".join(
            [MARK, *(base64.urlsafe_b64encode(it).decode().rstrip("=") for it in (self.secret, self.root_sha256))]
        )


def token_of(text: str) -> Token:
    """Raises `Misuse` for what is none."""
    mark, *parts = text.split(".")
    try:
        # Letters that are none are passed over, which shows below.
        secret, root = (base64.urlsafe_b64decode(f"{it}=") for it in parts)
    except ValueError:
        secret = root = b""
    found = Token(secret, root)
    whole = len(secret) == BYTES and len(root) == hashes.SHA256.digest_size
    if mark != MARK or not whole or str(found) != text:
        raise Misuse("that is no token of everyhop ca token; nothing was asked")
    return found


def sha256(secret: bytes) -> str:
    return hashlib.sha256(secret).hexdigest()


def invite(it: Authority, names: list[Name], use: str, lasts: dt.timedelta, ends_in: dt.timedelta) -> Token:
    """A token by which somebody gets one certificate of `names` that `lasts`; the token itself `ends_in`.

    Raises `Declined` for a name outside, and as `Authority.issue` does.
    """
    if not names:
        raise Misuse("say for whom: everyhop ca token DIR NAME")
    if ends_in > LONGEST:
        raise Declined("a token lasts a day at most; nothing was made")
    fits(names, lasts)
    for name in names:
        it.policy.admit(name)
    with it.changing():
        root = generation.read(it.at, it.active).root
        made = Token(secrets.token_bytes(BYTES), root.fingerprint(hashes.SHA256()))
        now = it.clock()
        told = {
            "event": "invited",
            "at": now.isoformat(),
            "sha256": sha256(made.secret),
            "names": [str(name) for name in names],
            "for": use,
            "lasts_s": int(lasts.total_seconds()),
            "ends": (now + ends_in).isoformat(),
        }
        index.add(it.at, it.index().whole, told)
        return made


def withdraw(it: Authority, which: str) -> list[Invitation]:
    """Ends the tokens that are good and are called `which`: by the beginning of their hash, as they are listed, or by a name.

    Raises `Misuse` where none is.
    """
    with it.changing():
        now, known = it.clock(), it.index()
        good = [one for one in known.invitations.values() if one.good(now)]
        hashed = len(which) >= FEWEST_DIGITS and set(which) <= set(string.hexdigits)
        found = [one for one in good if which in one.names or (hashed and one.sha256.startswith(which.lower()))]
        if not found:
            raise Misuse(
                f"no token that is good is {which!r}, by the hash that it is listed with or by a name; nothing was done",
                "  everyhop ca token DIR --list",
            )
        whole = known.whole
        for one in found:
            whole = index.add(it.at, whole, {"event": "withdrawn", "at": now.isoformat(), "sha256": one.sha256})
        return found


def redeem(it: Authority, secret: bytes, csr: x509.CertificateSigningRequest) -> Issued:
    """The certificate that a token is for, and the end of the token in the same step: whoever comes second comes late.

    Raises `Unknown` for a token that is not good, `Declined` for a request that asks for more; that leaves it good.
    """
    with it.changing():
        found = good(it.index(), secret, it.clock())
        names = judged(csr, WHERE, [named(text) for text in found.names], found.use)
        for name in names:
            it.policy.admit(name)
        return it.issue_held(names, found.use, found.lasts, certified(csr), token=found.sha256)


def good(known: Index, secret: bytes, now: dt.datetime) -> Invitation:
    """Every one is compared, each in the same time. Raises `Unknown`."""
    shown, found = sha256(secret), None
    for one in known.invitations.values():
        if hmac.compare_digest(one.sha256, shown):
            found = one
    if found is None or not found.good(now):
        raise Unknown("that token is not good: it may be used, over, withdrawn, or none")
    return found


def renew(it: Authority, shown: x509.Certificate, csr: x509.CertificateSigningRequest) -> Issued:
    """Another certificate for whoever proved to have `shown`: of the same names, for the same use, for as long as was asked for.

    Raises `Unknown` where that is not in force, `Declined` for a request that asks for more.
    """
    with it.changing():
        known, now = it.index(), it.clock()
        was = known.entries.get(serial_of(shown))
        mine = was is not None and x509.load_pem_x509_certificate(was.pem.encode()) == shown
        if was is None or not mine or was not in it.in_force(known, now):
            raise Unknown("that certificate is not in force here")
        names = judged(csr, WHERE, [named(text) for text in was.names], was.use)
        for name in names:
            it.policy.admit(name)
        return it.issue_held(names, was.use, was.lasts, certified(csr))

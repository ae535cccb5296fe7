"""Who may sign a revocation list: the authorities that somebody is verified by, and those below them whose certificates came along
with the lists, as `everyhop ca` writes them. Such a certificate is believed as it would be in a chain (RFC 5280 §6.3.3 f): step by
step from the root, in its time, an authority that signs lists, and on no list itself.

It is never a root: whoever is verified still shows a chain up to one, in which each link is asked for on its issuer's list.
Touches no file and no clock. Read next: `published.py`.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cryptography import x509

from everyhop.identity.certificates import Roots
from everyhop.identity.chain import issued
from everyhop.identity.revocation import by_subject, signed_by

CERT_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.S)
MOST = 100
"""Certificates that may come along. An authority has a few, and each costs a signature to be judged."""
List = x509.CertificateRevocationList


@dataclass
class Signers:
    """By name, since two have the same while one changes its key."""

    of: dict[x509.Name, list[x509.Certificate]]
    along: list[x509.Certificate] = field(default_factory=list)
    """Those of them that came along."""
    revoked: set[x509.Name] = field(default_factory=set)
    """Who would be one, and was taken back by the authority above it."""
    why_not: dict[x509.Name, str] = field(default_factory=dict)
    """Of certificates that came along and make nobody one."""


def certificates(body: bytes) -> list[x509.Certificate]:
    """Those in a PEM file beside what else it has. Raises `ValueError` for one that cannot be read, and for more than `MOST`."""
    blocks = CERT_BLOCK.findall(body)
    if len(blocks) > MOST:
        raise ValueError(f"{len(blocks)} certificates came along, and {MOST} are read")
    return [x509.load_pem_x509_certificate(it) for it in blocks]


def signers(
    roots: Sequence[Roots], along: Iterable[x509.Certificate], lists: Sequence[List], now: dt.datetime
) -> Signers:
    """Of `roots`, and of those of `along` that they vouch for."""
    found = Signers(by_subject(*roots))
    waiting = [it for it in dict.fromkeys(along) if it not in found.of.get(it.subject, ())]
    while waiting:
        later = []
        for it in waiting:
            if it.issuer not in found.of:
                later.append(it)
            elif (why := unfit(it, found.of[it.issuer], now)) is not None:
                found.why_not[it.subject] = why
            elif is_on_a_list(it, found.of[it.issuer], lists):
                found.revoked.add(it.subject)
            else:
                found.of.setdefault(it.subject, []).append(it)
                found.along.append(it)
        if len(later) == len(waiting):
            found.why_not |= {it.subject: "it is not signed by one of them" for it in later}
            break
        waiting = later
    return found


def unfit(it: x509.Certificate, above: Sequence[x509.Certificate], now: dt.datetime) -> str | None:
    """Why a certificate makes nobody an authority that signs lists, in words about it."""
    by = [one for one in above if issued(it, one)]
    if not by:
        return "it is not signed by one of them"
    if not it.not_valid_before_utc <= now < it.not_valid_after_utc:
        return f"it holds from {it.not_valid_before_utc:%Y-%m-%d %H:%M} to {it.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    try:
        limits = it.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = it.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return "it is no authority that signs lists"
    if not (limits.ca and usage.crl_sign):
        return "it is no authority that signs lists"
    if all(is_last(one) for one in by):
        return "the one above it may have no authority below it"
    return None


def is_last(it: x509.Certificate) -> bool:
    """Whether no authority may stand below it (a path of length 0, RFC 5280 §4.2.1.9)."""
    try:
        return it.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    except x509.ExtensionNotFound:
        return False


def is_on_a_list(it: x509.Certificate, above: list[x509.Certificate], lists: Sequence[List]) -> bool:
    """Of the authority above it. A list that this one did not sign says nothing."""
    of_it = [one for one in lists if one.issuer == it.issuer and signed_by(one, above)]
    return any(one.get_revoked_certificate_by_serial_number(it.serial_number) is not None for one in of_it)

"""Judges a revocation list that came from a URL, before it is put in force: whoever answered there may be anybody.

Each list must be signed by an authority that somebody is verified by, or by one that it vouches for, and none may be older than the
one that is held: an old list does not name who was revoked since, and its signature is as good. Touches no file and no socket.
Read next: `vouched.py`, who may sign one; `revocation.py`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from everyhop.identity.certificates import Roots, judged
from everyhop.identity.revocation import CRL_BLOCK, Crl, by_subject, crl_of, signed_by
from everyhop.identity.unusable import Unusable
from everyhop.identity.vouched import Signers, certificates, signers

SLUG = "crl/unusable"
MEND = "the URL is to give the authority's list, as DER or PEM"
ALONG = "have the URL give the signer's certificate along, below one of those, or add that to the file that `ca` names"
PEM = b"-----BEGIN "


@dataclass(frozen=True)
class Published:
    """What is held of one URL, or would be. `pem` has the lists, and of what came along who signed one of them."""

    pem: bytes = field(repr=False)
    lists: tuple[x509.CertificateRevocationList, ...] = field(repr=False)
    along: tuple[x509.Certificate, ...] = field(repr=False)
    crl: Crl


def published(url: str, body: bytes, roots: Sequence[Roots], held: Published | None, now: dt.datetime) -> Published:
    """What is to be held from now on: in PEM, whatever came.

    Raises `Unusable`; what was held is as good as before.
    """
    with judged(url, SLUG, MEND):
        lists = parsed(url, body)
        # Of what is held too: a list may not be left out together with who signed it, to come back older.
        along = [*(certificates(body) if PEM in body else []), *(() if held is None else held.along)]
        by = signers(roots, along, lists, now)
        # Whoever was taken back signs nothing more, and below it nobody is believed.
        lists = tuple(it for it in lists if it.issuer in by.of or it.issuer not in by.revoked)
        for n, it in enumerate(lists):
            if any(it.issuer == other.issuer for other in lists[:n]):
                # Who verifies by them takes the first.
                mend = "have the URL give one list of each authority"
                raise Unusable(SLUG, f"it gives two lists of {it.issuer.rfc4514_string()!r}", mend)
            judge_signature(it, roots, by)
        kept = tuple(it for it in by.along if any(it.subject == one.issuer for one in lists))
        pem = b"".join(it.public_bytes(Encoding.PEM) for it in lists)
        pem += b"".join(it.public_bytes(Encoding.PEM) for it in kept)
        crl, *_ = [crl_of(pem, one, url, MEND, {}, "certificates") for one in roots]
        if held is not None:
            not_older(lists, held.lists, by.of)
    return Published(pem, lists, kept, crl)


def judge_signature(it: x509.CertificateRevocationList, roots: Sequence[Roots], by: Signers) -> None:
    """Raises `Unusable`."""
    name = it.issuer.rfc4514_string()
    if it.issuer not in by.of:
        known = ", ".join(sorted(one.rfc4514_string() for one in by_subject(*roots)))
        if (why := by.why_not.get(it.issuer)) is not None:
            raise Unusable(
                SLUG, f"it is a list of {name!r}, whose certificate came along, but {why}: `ca` has {known}", ALONG
            )
        raise Unusable(SLUG, f"it is a list of {name!r}, and `ca` has {known}: nobody could tell who signed it", ALONG)
    if not signed_by(it, by.of[it.issuer]):
        mend = "look who answers at that URL: the list was changed on its way, or is of another authority of that name"
        raise Unusable(SLUG, f"the list of {name!r} is not signed by that authority", mend)


def parsed(url: str, body: bytes) -> tuple[x509.CertificateRevocationList, ...]:
    if PEM not in body:
        return (x509.load_der_x509_crl(body),)
    lists = tuple(x509.load_pem_x509_crl(block) for block in CRL_BLOCK.findall(body))
    if not lists:
        raise Unusable(SLUG, f"{url} gives no revocation list", MEND)
    return lists


def not_older(
    lists: Sequence[x509.CertificateRevocationList],
    held: Sequence[x509.CertificateRevocationList],
    issuers: dict[x509.Name, list[x509.Certificate]],
) -> None:
    """Raises `Unusable`. Lists of authorities that nobody is verified by any more, or that were taken back, do not count."""
    for before in held:
        if before.issuer not in issuers:
            continue
        name = before.issuer.rfc4514_string()
        it = next((it for it in lists if it.issuer == before.issuer), None)
        if it is None:
            mend = "have the URL give the lists of all authorities that it gave before, or take that one out of `ca`"
            raise Unusable(SLUG, f"the list of {name!r}, which it gave before, is missing", mend)
        if (why := how_old(it, before)) is not None:
            mend = "look who answers at that URL: whoever gives an old list hides who was revoked since"
            raise Unusable(SLUG, f"the list of {name!r} is older than the one that is held ({why})", mend)


def how_old(it: x509.CertificateRevocationList, before: x509.CertificateRevocationList) -> str | None:
    """In which way it is the older one, if it is."""
    if it.last_update_utc < before.last_update_utc:
        return (
            f"of {it.last_update_utc:%Y-%m-%d %H:%M:%S} UTC, and that is of {before.last_update_utc:%Y-%m-%d %H:%M:%S}"
        )
    now, then = number(it), number(before)
    if then is not None and (now is None or now < then):
        return f"number {'none' if now is None else now}, and that is {then}"
    return None


def number(it: x509.CertificateRevocationList) -> int | None:
    """It counts up with each list of an authority (RFC 5280 §5.2.3)."""
    try:
        return it.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except x509.ExtensionNotFound:
        return None

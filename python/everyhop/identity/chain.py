"""Whether a chain leads from its leaf upwards, and what clients will mind about it that no engine does.

An issuer is one whose key signed, not one whose name fits: an authority that took a new key keeps its name. What is not on
the way is tolerated (RFC 8446 §4.4.2) and told. Read next: `certificates.py`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

Role = Literal["site", "identity"]
Chain = tuple[x509.Certificate, ...]
T = TypeVar("T", bound=x509.ExtensionType)


@dataclass(frozen=True)
class Doubt:
    """What works here and may not work there: the slug of a warning, what, and how to mend it."""

    slug: str
    what: str
    mend: str


ORDER = "put the leaf first, then each issuer behind what it signed"
LONGEST = dt.timedelta(days=825)
"""Apple's limit for any certificate of a server, of private authorities too; public ones keep to far less."""


def shown(name: x509.Name) -> str:
    return repr(name.rfc4514_string())


def issued(child: x509.Certificate, by: x509.Certificate) -> bool:
    """Whether that very key signed it."""
    if child.issuer != by.subject:
        return False
    try:
        child.verify_directly_issued_by(by)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def is_root(it: x509.Certificate) -> bool:
    return it.subject == it.issuer


def way_up(chain: Chain) -> list[x509.Certificate]:
    """What leads upwards from the leaf, by issuers that stand behind what they signed."""
    way = [chain[0]]
    for it in chain[1:]:
        if it not in way and any(issued(child, it) for child in way):
            way.append(it)
    return way


def way_in_any_order(chain: Chain) -> list[x509.Certificate]:
    way = [chain[0]]
    for child in way:  # which grows meanwhile
        way += [it for it in chain[1:] if it not in way and issued(child, it)]
    return way


def broken(chain: Chain) -> tuple[str, str] | None:
    """Why clients would not get from the leaf to a root by this chain, and how to mend it."""
    anyhow = way_in_any_order(chain)
    for child in anyhow:
        namesakes = [it for it in chain if it.subject == child.issuer and not is_root(child)]
        if namesakes and not any(issued(child, it) for it in namesakes):
            return (
                f"{shown(child.issuer)} did not sign {shown(child.subject)}: it has its issuer's name and another key",
                "get the authority's certificate of now: one that takes a new key keeps its name",
            )
    strangers = [it for it in chain if it not in anyhow]
    if strangers and len(anyhow) == 1:
        return (
            f"it is not in order, or of another leaf: {shown(strangers[0].subject)} did not sign the first one",
            ORDER,
        )
    return None


def doubts(chain: Chain, role: Role, now: dt.datetime, authorities: Collection[x509.Certificate]) -> list[Doubt]:
    """What clients of a site, or backends that an identity is shown to, may mind. `authorities` are known otherwise."""
    return [
        *of_order(chain),
        *of_members(chain, now),
        *of_what_is_missing(chain, authorities),
        *of_use(chain[0], role),
        *of_time(chain[0], role),
    ]


def of_order(chain: Chain) -> list[Doubt]:
    anyhow, way = way_in_any_order(chain), way_up(chain)
    extra = [it for it in chain if it not in anyhow]
    late = [it for it in anyhow if it not in way]
    again = [it for i, it in enumerate(chain) if it in chain[:i]]
    found = []
    if again:
        found.append(f"{shown(again[0].subject)} stands in it more than once")
    if extra:
        found.append(f"{shown(extra[0].subject)} is not on the way from the leaf to a root")
    mend = "leave it out: each handshake carries it, and old clients stop at it"
    out = [Doubt("certificate/chain-untidy", what, mend) for what in found]
    if late:
        what = f"it is not in order: {shown(late[0].subject)} stands before what it signed"
        out.append(Doubt("certificate/chain-untidy", what, ORDER))
    return out


def of_members(chain: Chain, now: dt.datetime) -> list[Doubt]:
    found = []
    for it in dict.fromkeys(chain):
        who = shown(it.subject)
        if it is not chain[0] and not it.not_valid_before_utc <= now < it.not_valid_after_utc:
            ended = it.not_valid_after_utc <= now
            when = (
                f"ended on {it.not_valid_after_utc:%Y-%m-%d}"
                if ended
                else f"begins on {it.not_valid_before_utc:%Y-%m-%d}"
            )
            mend = "get the chain anew from the authority, or leave it out if clients have another way to a root"
            found.append(Doubt("certificate/chain-untrusted", f"{who} {when}", mend))
        if it is not chain[0] and not signs_others(it):
            what = f"{who} stands as an issuer and is no authority"
            found.append(Doubt("certificate/chain-untrusted", what, "get the chain anew from the authority"))
        if not is_root(it) and isinstance(hash_of(it), hashes.SHA1 | hashes.MD5):
            what = f"{who} is signed by {type(hash_of(it)).__name__}, which clients have given up"
            found.append(Doubt("certificate/chain-untrusted", what, "have it issued anew, signed by SHA-256"))
    return found


def hash_of(it: x509.Certificate) -> hashes.HashAlgorithm | None:
    try:
        return it.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return None


def signs_others(it: x509.Certificate) -> bool:
    """Version 1 says nothing of it; only as a root can one of those be an authority."""
    constraints = extension(it, x509.BasicConstraints)
    return is_root(it) if constraints is None else constraints.ca


def of_what_is_missing(chain: Chain, authorities: Collection[x509.Certificate]) -> list[Doubt]:
    """A root may be left out, an authority below one may not. Which the missing one is shows where it is known from
    elsewhere, and where it is to be fetched from: only what is below a root is."""
    if any(is_root(it) for it in way_in_any_order(chain)):
        return []
    top = topmost(chain)
    above = [it for it in authorities if it.subject == top.issuer]
    if any(is_root(it) for it in above) or not (above or can_be_fetched(top)):
        return []
    what = f"the issuer of {shown(top.subject)} is missing, {shown(top.issuer)}, which those who check it do not have"
    return [Doubt("certificate/chain-incomplete", what, "give the full chain: cat leaf.pem issuer.pem > fullchain.pem")]


def topmost(chain: Chain) -> x509.Certificate:
    """Whose issuer is not in the chain, on the way up from the leaf, in whatever order they came and whoever came along."""
    way = way_in_any_order(chain)
    return next((it for it in way if not any(issued(it, by) for by in way)), way[-1])


def can_be_fetched(it: x509.Certificate) -> bool:
    told = extension(it, x509.AuthorityInformationAccess)
    return told is not None and any(d.access_method == AuthorityInformationAccessOID.CA_ISSUERS for d in told)


USES = {
    "site": (ExtendedKeyUsageOID.SERVER_AUTH, "servers", "clients"),
    "identity": (ExtendedKeyUsageOID.CLIENT_AUTH, "clients", "backends"),
}


def of_use(leaf: x509.Certificate, role: Role) -> list[Doubt]:
    """What it was issued for, and for whom that is not enough."""
    oid, users, peers = USES[role]
    mend = f"have one issued for {users}: extendedKeyUsage={'serverAuth' if role == 'site' else 'clientAuth'}, CA:FALSE"
    try:
        leaf.extensions  # noqa: B018 - all are read at once, and one that is no extension hides the others
    except ValueError as e:
        what = f"what the certificate may be used for cannot be read ({e}): {peers} refuse it"
        return [Doubt("certificate/wrong-use", what, mend)]
    uses = extension(leaf, x509.ExtendedKeyUsage)
    usage = extension(leaf, x509.KeyUsage)
    constraints = extension(leaf, x509.BasicConstraints)
    found = []
    if uses is not None and oid not in uses and ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE not in uses:
        found.append(f"the certificate is not for {users} (extended key usage): {peers} refuse it")
    if constraints is not None and constraints.ca:
        found.append(f"the certificate is that of an authority (CA:TRUE): many {peers} refuse it")
    elif usage is not None and not usage.digital_signature:
        found.append("the certificate's key may not sign handshakes (key usage): browsers refuse it")
    return [Doubt("certificate/wrong-use", what, mend) for what in found]


def staple_demanded(leaf: x509.Certificate) -> str | None:
    """`must-staple` (RFC 7633), in words: who obeys it refuses each handshake without an answer of OCSP, and none is given any more."""
    features = extension(leaf, x509.TLSFeature)
    if features is None or not {*STAPLED} & {*features}:
        return None
    return "it demands a stapled OCSP answer (must-staple), which authorities no longer give"


STAPLED = (x509.TLSFeatureType.status_request, x509.TLSFeatureType.status_request_v2)


def of_time(leaf: x509.Certificate, role: Role) -> list[Doubt]:
    """Whether it is valid for longer than some clients believe any server's certificate."""
    lasts = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    if role != "site" or lasts <= LONGEST:
        return []
    what = f"the certificate is valid for {lasts.days} days, and clients of Apple refuse more than {LONGEST.days}"
    return [Doubt("certificate/lasts-too-long", what, "have one issued for a year or less")]


def extension(it: x509.Certificate, kind: type[T]) -> T | None:
    try:
        return it.extensions.get_extension_for_class(kind).value
    except Exception:  # all are read at once, and what a stranger's says raises whatever it likes: the judge of pairs and of roots tells
        return None

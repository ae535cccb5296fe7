"""Whether what an authority sent is the certificate that was ordered: for the names, for the key, by a chain that holds.

Nothing is replaced by what does not pass. Pure. Read next: `everyhop.identity.chain`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from everyhop.acme.problem import stopped
from everyhop.identity.chain import broken, can_be_fetched, is_root, issued, of_use, shown, staple_demanded

MOST_CERTIFICATES = 10
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Chain:
    """A certificate with what leads up from it."""

    certificates: tuple[x509.Certificate, ...]

    @property
    def leaf(self) -> x509.Certificate:
        return self.certificates[0]

    @property
    def begins(self) -> dt.datetime:
        return self.leaf.not_valid_before_utc

    @property
    def ends(self) -> dt.datetime:
        return self.leaf.not_valid_after_utc

    @property
    def names(self) -> tuple[str, ...]:
        return names_in(self.leaf)

    @property
    def pem(self) -> bytes:
        return b"".join(it.public_bytes(Encoding.PEM) for it in self.certificates)


def mark_of(chain: Chain) -> str:
    """Of all of it, as the material of a plan has it."""
    return hashlib.sha256(b"".join(it.public_bytes(Encoding.DER) for it in chain.certificates)).hexdigest()


def ordered(pem: bytes, key: PrivateKey, names: Sequence[str], authority: str) -> Chain:
    """The chain, if it is what was ordered. Raises `Stopped`, of the kind `spent`: it was issued all the same."""
    try:
        certificates = tuple(x509.load_pem_x509_certificates(pem))
        found = Chain(certificates[:MOST_CERTIFICATES])
        why = wrong(found, key, names)
    except Exception as e:  # a stranger's bytes: whatever reading them raises
        raise stopped(
            "spent", f"sent a certificate that cannot be read ({type(e).__name__})", authority=authority
        ) from e
    if why is not None:
        raise stopped("spent", f"sent a certificate that is not taken: {why}", authority=authority)
    return found


def wrong(chain: Chain, key: PrivateKey, names: Sequence[str]) -> str | None:
    leaf = chain.leaf
    if public_of(leaf.public_key()) != public_of(key.public_key()):
        return "it is for another key"
    missing, more = set(names) - set(chain.names), set(chain.names) - set(names)
    if missing or more:
        return f"it is for {', '.join(chain.names) or 'nobody'}, not for {', '.join(names)}"
    if (staple := staple_demanded(leaf)) is not None:
        return staple
    if (doubts := of_use(leaf, "site")) != []:
        return doubts[0].what
    if (why := broken(chain.certificates)) is not None:
        return why[0]
    for child, above in zip(chain.certificates, chain.certificates[1:], strict=False):
        if not issued(child, above):
            return f"{shown(above.subject)} stands behind {shown(child.subject)} and did not sign it"
    # A chain of a leaf alone that says where its issuer is to be had is half of one; a root signs some leaves itself.
    if len(chain.certificates) == 1 and not is_root(leaf) and can_be_fetched(leaf):
        return "its issuer is missing from the chain"
    return None


def kept(data: bytes) -> tuple[Chain, PrivateKey] | None:
    """A key with its chain, as the store has them; what is neither is nothing."""
    try:
        key = load_pem_private_key(data, None)
        chain = Chain(tuple(x509.load_pem_x509_certificates(data)))
        if not isinstance(key, PrivateKey) or public_of(chain.leaf.public_key()) != public_of(key.public_key()):
            return None
    except Exception:
        return None
    return chain, key


def names_in(leaf: x509.Certificate) -> tuple[str, ...]:
    try:
        listed = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    others = [str(it.value) for it in listed if not isinstance(it, x509.DNSName)]
    return (*(name.lower() for name in listed.get_values_for_type(x509.DNSName)), *others)


def public_of(key: object) -> bytes:
    assert isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey), "another kind of key was ordered"
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

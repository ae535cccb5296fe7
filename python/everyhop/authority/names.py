"""Names that a certificate may have here: of hosts, addresses, and SPIFFE identities; each in one form.

A wildcard is none of them: it would let whoever holds it be every host that there will be.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal

from cryptography import x509

from everyhop.errors import Misuse

Kind = Literal["dns", "uri", "ip"]
LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
TRUST_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}")
SEGMENT = re.compile(r"[A-Za-z0-9._-]+")
LONGEST_ID = 2048  # bytes of a SPIFFE ID: SPIFFE-ID §2.3
SPIFFE = "spiffe://"
COMMON_NAME_MOST = 64  # RFC 5280, upper bound ub-common-name


@dataclass(frozen=True)
class Name:
    """A name in the form that a certificate has it in, and its kind."""

    kind: Kind
    text: str

    def __str__(self) -> str:
        return self.text

    def general(self) -> x509.GeneralName:
        """As it stands in subjectAltName."""
        if self.kind == "ip":
            return x509.IPAddress(ipaddress.ip_address(self.text))
        return x509.DNSName(self.text) if self.kind == "dns" else x509.UniformResourceIdentifier(self.text)


def named(text: str) -> Name:
    """The name that `text` is, in its one form.

    Raises `Misuse` for what is no name that is certified here.
    """
    if "://" in text:
        return Name("uri", spiffe(text))
    try:
        return Name("ip", str(ipaddress.ip_address(text)))
    except ValueError:
        return Name("dns", host(text))


def host(text: str) -> str:
    """A host's name in lower case.

    Raises `Misuse`.
    """
    found = text.lower()
    labels = found.split(".")
    if "*" in text:
        raise Misuse(f"{text!r} is a wildcard, which stands for hosts that nobody named: name each host")
    if not text.isascii():
        raise Misuse(f"{text!r} is not in ASCII: write it as DNS has it, xn--...")
    if len(found) > 253 or not all(map(LABEL.fullmatch, labels)) or labels[-1].isdigit():
        raise Misuse(f"{text!r} is no host name, address or SPIFFE ID: letters, digits and hyphens, with dots between")
    return found


def spiffe(text: str) -> str:
    """A SPIFFE ID of a workload (SPIFFE-ID §2).

    Raises `Misuse`.
    """
    domain, slash, path = text.removeprefix(SPIFFE).partition("/")
    if not text.startswith(SPIFFE):
        raise Misuse(f"{text!r} is no SPIFFE ID, the only URI that is certified: {SPIFFE}TRUST-DOMAIN/PATH")
    trust_domain(domain)
    segments = path.split("/")
    whole = all(SEGMENT.fullmatch(it) and it not in {".", ".."} for it in segments)
    if not slash or not whole or len(text) > LONGEST_ID:
        raise Misuse(
            f"{text!r} is no SPIFFE ID of a workload: behind the trust domain comes a path of letters, digits, . - _ between slashes"
        )
    return text


def trust_domain(text: str) -> str:
    """The name of a trust domain (SPIFFE-ID §2.1).

    Raises `Misuse`.
    """
    if not TRUST_DOMAIN.fullmatch(text):
        raise Misuse(f"{text!r} is no trust domain: lower-case letters, digits, . - _")
    return text


def names_in(cert: x509.Certificate | x509.CertificateSigningRequest) -> list[x509.GeneralName]:
    """What stands in subjectAltName, if anything does."""
    try:
        return list(cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return []

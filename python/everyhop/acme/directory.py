"""Which authorities there are and what each can do, as its directory says (RFC 8555 §7.1.1). Read next: `client.py`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from acme import messages

from everyhop.acme.network import Network
from everyhop.acme.problem import printable, stopped
from everyhop.identity.certificates import system_roots

KNOWN = {
    "letsencrypt": "https://acme-v02.api.letsencrypt.org/directory",
    "letsencrypt-staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
}
KNOWN_CAA = dict.fromkeys(KNOWN, ("letsencrypt.org",))
"""By what name each is let to issue in the DNS (RFC 8659): letsencrypt.org/docs/caa."""
NEEDED = ("newNonce", "newAccount", "newOrder")


@dataclass(frozen=True)
class ExternalAccount:
    """What ties a new account to one that the authority's people know (RFC 8555 §7.3.4)."""

    kid: str
    hmac_key: str = field(repr=False)
    """Base64url, as authorities give it."""


@dataclass(frozen=True)
class Authority:
    """One that certificates are ordered from."""

    name: str
    """As status and log speak of it: its word, or its URL."""
    url: str
    ca: Path | None = None
    """Whom its own TLS is verified by; the system's roots for those that have a word."""
    external: ExternalAccount | None = None
    public: bool = False
    """Bound by the rules of browsers: no names that only a private network knows."""

    @property
    def id(self) -> str:
        """By which its account is found in the store."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:16]

    def roots(self) -> str:
        return str(self.ca if self.ca is not None else system_roots())


def authority(text: str, ca: Path | None = None, external: ExternalAccount | None = None) -> Authority:
    """The one that a configuration names: a word of `KNOWN`, or the URL of a directory.

    Raises `ValueError`, whose text says what is wrong.
    """
    if text in KNOWN:
        return Authority(text, KNOWN[text], ca, external, public=True)
    parts = urlsplit(text)
    if parts.scheme != "https" or not parts.hostname or parts.username is not None or parts.fragment:
        raise ValueError(f"{text!r} is neither https://... nor one of {', '.join(KNOWN)}")
    return Authority(text, text, ca, external)


@dataclass(frozen=True)
class Directory:
    """What an authority can do."""

    it: messages.Directory
    profiles: Mapping[str, str]
    terms: str | None
    renewal_info: str | None
    wants_external: bool
    caa: tuple[str, ...]
    """By what names it is let to issue in the DNS (`caaIdentities`); none where it does not say."""


def fetched(authority: Authority, network: Network) -> Directory:
    """Raises `Stopped`."""
    with network.asking():
        found = json.loads(network.get(authority.url).content)
    if not isinstance(found, dict) or not all(is_https(found.get(key)) for key in NEEDED):
        raise stopped("outage", f"{authority.url} is no ACME directory", authority=authority.name)
    meta = found.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    profiles, caa = meta.get("profiles"), meta.get("caaIdentities")
    info, terms = found.get("renewalInfo"), meta.get("termsOfService")
    return Directory(
        messages.Directory({**found, "meta": None}),
        {printable(k): printable(v) for k, v in profiles.items()} if isinstance(profiles, dict) else {},
        printable(terms) if isinstance(terms, str) else None,
        info if is_https(info) else None,
        meta.get("externalAccountRequired") is True,
        tuple(printable(it).lower() for it in caa if isinstance(it, str)) if isinstance(caa, list) else (),
    )


def is_https(it: object) -> bool:
    return isinstance(it, str) and it.startswith("https://")

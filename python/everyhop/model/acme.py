"""`[acme]`: certificates that an authority issues by itself, for sites with `certs = "acme"` (RFC 8555)."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Literal

from pydantic import Field

from everyhop.model.base import Section


class DnsUpdate(Section):
    """`[acme] dns_update`: names are proved by dynamic updates of their zone (RFC 2136), signed by TSIG."""

    server: str
    """The address of the zone's own server, perhaps with a port."""
    key: str
    """The name of the key, as the server has it."""
    secret: str
    """Its secret in base64: `file:PATH`, `env:NAME` or `cred:NAME` (systemd); never the secret itself."""
    algorithm: Literal["hmac-sha256", "hmac-sha384", "hmac-sha512"] = "hmac-sha256"
    zone: str | None = None
    """The zone that is updated; default: the server is asked."""
    settle_s: Annotated[int, Field(ge=0, le=3_600)] = 0
    """How long the zone's other servers take to follow."""


class DnsHttp(Section):
    """`[acme] dns_http`: names are proved by a service that changes their zone, asked over HTTPS."""

    url: str
    """Where it is asked: `https://`, or `http://` at 127.0.0.1 or [::1]. It gets a POST with JSON: `{"action": "present", "fqdn": "_acme-challenge.example.com.", "value": "..."}`, later the same with `cleanup`; any answer of 2xx is a yes."""
    token: str | None = None
    """It is known by this token (`Authorization: Bearer`): `file:PATH`, `env:NAME` or `cred:NAME` (systemd); never the token itself."""
    ca: str | None = None
    """PEM file of the roots by which it is verified; default: the machine's."""
    settle_s: Annotated[int, Field(ge=0, le=3_600)] = 0
    """How long the zone's servers take to follow."""


class AcmeSection(Section):
    """`[acme]`"""

    authority: Annotated[list[str], Field(min_length=1)] = ["letsencrypt"]
    """Who is asked: `letsencrypt`, `letsencrypt-staging`, or the URL of a directory. Of several the next is asked where one is down."""
    ca: str | None = None
    """PEM file of the roots by which the authority itself is verified; default: the machine's."""
    contact: list[str] = []
    """Where the authority reaches you: `["mailto:ops@example.com"]`."""
    terms_agreed: bool = False
    """You agree to the authority's terms of service. Without it none is asked."""
    profile: str | None = None
    """Which of the authority's profiles, such as `shortlived`; default: its own."""
    challenges: Annotated[list[Literal["tls-alpn-01", "http-01", "dns-01"]], Field(min_length=1)] = [
        "tls-alpn-01",
        "http-01",
        "dns-01",
    ]
    """How names are proved, in order: by a handshake at port 443; in the clear at port 80, which takes a listener with `speaks = "http"`; in the DNS, which takes `dns_update`, `dns_hook` or `dns_http`, and which wildcards need."""
    dns_update: DnsUpdate | None = None
    """The zone's server takes updates."""
    dns_hook: Annotated[list[str], Field(min_length=1)] | None = None
    """A program that changes the zone, with what it is started with: `["/usr/local/bin/zone", "--fast"]`. It is called with `present` or `cleanup`, the record's name and its text, without a shell, and is given a minute."""
    dns_http: DnsHttp | None = None
    """A service that changes the zone, asked over HTTPS, which is given a minute."""
    keys: Annotated[list[Literal["ecdsa-p256", "rsa-2048"]], Field(min_length=1, max_length=2)] = ["ecdsa-p256"]
    """What kinds of keys certificates are for; of both, clients that know no ECDSA are shown the other."""
    state: str = "acme"
    """The folder of accounts, keys and certificates; readable by nobody else. What is issued stands below it, a file for each site and kind of key."""

    def issued(self, site: str) -> list[str]:
        """Where what is issued for a site is found: a certificate, its chain and its key in one file, for each kind of key."""
        return [f"{self.state}/{site_folder(site)}/{kind}.pem" for kind in self.keys]


def site_folder(name: str) -> str:
    """A site's own: by its name where that can be one of a folder."""
    plain = name if PLAIN.fullmatch(name) else f"_{hashlib.sha256(name.encode()).hexdigest()[:32]}"
    return f"sites/{plain}"


PLAIN = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}")

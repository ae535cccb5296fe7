"""Where TLS ends: the names, certificates and demands of a site, and the identities that hops present."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from everyhop.plan.part import Part
from everyhop.plan.told import Always, ByEffect, Never


class TlsPolicy(Part):
    versions: Always[list[str]]
    suites: Always[list[str]]
    groups: Always[list[str]]


class ClientsNothing(Part):
    mode: Literal["nothing"]


class ClientsAsk(Part):
    mode: Literal["ask"]
    ca: Always[str]
    crl: Always[str | None]
    stale_crl: ByEffect[Literal["refuse", "allow"]]


class ClientsRequire(Part):
    mode: Literal["require"]
    ca: Always[str]
    crl: Always[str | None]
    stale_crl: ByEffect[Literal["refuse", "allow"]]


class Cert(Part):
    material: Never[str]  # an id; the material has its own digest
    chain: Never[str]  # renewed certificates have names of their own; their key counts, and the hosts
    key: Always[str]


class Hsts(Part):
    max_age_s: Always[Annotated[int, Field(ge=0, le=4_294_967_295)]]
    subdomains: Always[bool]
    preload: Always[bool]

    def __str__(self) -> str:
        """As the field has it."""
        words = (f"max-age={self.max_age_s}", *["includeSubDomains"] * self.subdomains, *["preload"] * self.preload)
        return "; ".join(words)


class Site(Part):
    name: Never[str]
    hosts: Always[list[str]]
    listeners: ByEffect[list[str] | None]  # the listeners behind the names
    certs: Always[list[Cert]]
    clients: Always[Annotated[ClientsNothing | ClientsAsk | ClientsRequire, Field(discriminator="mode")]]
    policy: Always[TlsPolicy]
    protocol: ByEffect[Literal["http", "tcp"]]  # what its routes carry
    alpn: ByEffect[list[str]]  # whether a WebSocket can be opened
    hsts: Always[Hsts | None]


class Identity(Part):
    name: Never[str]
    material: Never[str]
    chain: ByEffect[str]  # where a hop presents it
    key: Always[str]

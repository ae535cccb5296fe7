"""Backends: where they are, how the hop to each is secured, and who accepted one that is not."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from everyhop.model.words import Context
from everyhop.plan.part import Part
from everyhop.plan.site import TlsPolicy
from everyhop.plan.told import Always, ByEffect, Never


class IpPlace(Part):
    kind: Literal["ip"]
    ip: Always[str]
    port: Always[int]

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"


class NamePlace(Part):
    kind: Literal["name"]
    name: Always[str]
    port: Always[int]

    def __str__(self) -> str:
        return f"{self.name}:{self.port}"


class ServicePlace(Part):
    """`_https._tcp.api.internal`: where it is, DNS says (RFC 2782)."""

    kind: Literal["service"]
    service: Always[str]

    def __str__(self) -> str:
        return f"srv:{self.service}"


class UnixPlace(Part):
    kind: Literal["unix"]
    path: Always[str]

    def __str__(self) -> str:
        return f"unix:{self.path}"


Place = Annotated[IpPlace | NamePlace | ServicePlace | UnixPlace, Field(discriminator="kind")]


class ByRoots(Part):
    kind: Literal["roots"]
    ca: Always[str]
    crl: Always[str | None]
    stale_crl: ByEffect[Literal["refuse", "allow"]]


class ByPins(Part):
    kind: Literal["pins"]
    sha256: Always[list[str]]
    name_too: Always[bool]


class BySpiffe(Part):
    kind: Literal["spiffe"]
    ca: Always[str]
    crl: Always[str | None]
    stale_crl: ByEffect[Literal["refuse", "allow"]]
    id: Always[str]
    name_too: Always[bool]


class Verify(Part):
    by: Always[Annotated[ByRoots | ByPins | BySpiffe, Field(discriminator="kind")]]
    name: Always[str]


class Acceptance(Part):
    owner: Always[str]
    why: Never[str]
    context: Never[Context]
    since: Never[str]
    until: Never[str]  # the text for people; the moment is what counts
    closes_at_s: Always[int]


class SameHost(Part):
    kind: Literal["same_host"]


class Accepted(Part):
    kind: Literal["accepted"]
    acceptance: Always[Acceptance]


class MutualHop(Part):
    tls: Literal["mutual"]
    verify: Always[Verify]
    present: ByEffect[str]
    demand_asks: Always[bool]
    policy: Always[TlsPolicy]


class ReencryptHop(Part):
    tls: Literal["reencrypt"]
    verify: Always[Verify]
    policy: Always[TlsPolicy]


class PlaintextHop(Part):
    tls: Literal["plaintext"]
    reach: Always[Annotated[SameHost | Accepted, Field(discriminator="kind")]]


Hop = Annotated[MutualHop | ReencryptHop | PlaintextHop, Field(discriminator="tls")]


class Backend(Part):
    at: Always[Place]
    hop: Always[Hop]

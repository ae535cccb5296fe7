"""A route: which requests it takes, and which way they go: blind to a backend, through the edge, or no further."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from everyhop.model.words import Declared, StartTls
from everyhop.plan.basic import Basic
from everyhop.plan.collector import Traced
from everyhop.plan.hop import Backend, Place
from everyhop.plan.limiter import Limiter
from everyhop.plan.log import RouteLog
from everyhop.plan.part import Part
from everyhop.plan.settings import RouteLimits
from everyhop.plan.shape import (
    AsItCame,
    Compress,
    Cookies,
    Cors,
    Edit,
    Edits,
    Fixed,
    Moved,
    Of,
    OfAnswer,
    OfClaim,
    OfUser,
    Rewritten,
    Text,
)
from everyhop.plan.spread import Spread
from everyhop.plan.token import Jwt
from everyhop.plan.told import Always, ByEffect, Never


class AnyPath(Part):
    kind: Literal["any"]


class ExactPath(Part):
    kind: Literal["exact"]
    path: Always[str]


class PrefixPath(Part):
    kind: Literal["prefix"]
    path: Always[str]


class HeaderMatch(Part):
    of: Always[Literal["field", "cookie"]]
    name: Always[str]
    equals: Always[str]


class Most(Part):
    connections: Never[int | None]
    requests: Never[int | None]
    waiting: Never[int]
    wait_s: Never[int]


class Retries(Part):
    attempts: Never[int]
    on: Never[list[int]]
    per_try_s: Never[int | None]
    budget_percent: Never[int]


class Mirror(Part):
    share_per_million: Always[Annotated[int, Field(ge=1, le=1_000_000)]]
    upstream_protocol: Never[Literal["http/1.1", "h2", "auto"]]
    request: Always[Edits]
    body_bytes: Always[int]
    at_once: Never[int]
    timeout_s: Never[int]
    backends: Always[list[Backend]]


class AtBackend(Part):
    ends: Literal["at_backend"]
    allow_networks: Always[list[str] | None]
    send_proxy: Always[Literal["off", "v2"]]
    starttls: Never[StartTls | None]  # as of a listener
    spread: Never[Spread | None]
    backends: Always[list[Place]]


class AtEdge(Part):
    ends: Literal["at_edge"]
    pattern: Always[Literal["plaintext", "reencrypt", "mutual"]]
    path: Always[Annotated[AnyPath | ExactPath | PrefixPath, Field(discriminator="kind")]]
    methods: Always[list[str]]
    headers: Always[list[HeaderMatch]]
    allow_clients: Always[list[str] | None]
    allow_networks: Always[list[str] | None]
    jwt: Always[Jwt | None]
    basic: Always[Basic | None]
    ask: Always[str | None]
    waf: ByEffect[str | None]
    upgrades: ByEffect[list[str]]
    paths: ByEffect[Literal["faithful", "strict"]]
    target: Always[Annotated[AsItCame | Moved | Rewritten | Fixed, Field(discriminator="kind")]]
    host_header: Always[str | None]
    request: Always[Edits]
    response: Always[Edits]
    locations: Always[Literal["rewrite", "keep"]]
    cookies: Always[Cookies | None]
    cors: Always[Cors | None]
    compress: Always[Compress | None]
    limited_by: Always[list[Limiter]]
    most: Never[Most | None]
    retries: Never[Retries | None]
    answers: ByEffect[Literal["strict", "lenient"]]
    upstream_protocol: ByEffect[Literal["http/1.1", "h2", "auto", "tcp"]]  # the same, and whether requests are read
    send_proxy: ByEffect[Literal["off", "v2"]]  # where it is sent
    starttls: Never[StartTls | None]  # as of a listener
    eject_on: Never[list[Literal["timeouts", "5xx"]]]
    slow_ms: Never[int | None]
    spread: Never[Spread | None]
    backends: Always[list[Backend]]
    mirror: Always[Mirror | None]

    @property
    def is_stream(self) -> bool:
        """What is inside TLS goes on unread."""
        return self.upstream_protocol == "tcp"

    @property
    def behind(self) -> list[Backend]:
        """All that is sent what it carries: backends, and the mirror's."""
        return [*self.backends, *(self.mirror.backends if self.mirror else ())]


class NoContent(Part):
    kind: Literal["nothing"]


class Words(Part):
    kind: Literal["words"]
    text: Always[str]


class PageContent(Part):
    kind: Literal["page"]
    page: Always[str]


class Given(Part):
    """An answer of the edge's own."""

    status: Always[int]
    location: Always[list[Annotated[Text | Of | OfClaim | OfUser | OfAnswer, Field(discriminator="kind")]] | None]
    fields: Always[list[Edit]]
    body: Always[Annotated[NoContent | Words | PageContent, Field(discriminator="kind")]]


class Here(Part):
    """TLS ends at the edge, which answers itself."""

    ends: Literal["here"]
    path: Always[Annotated[AnyPath | ExactPath | PrefixPath, Field(discriminator="kind")]]
    methods: Always[list[str]]
    headers: Always[list[HeaderMatch]]
    allow_clients: Always[list[str] | None]
    allow_networks: Always[list[str] | None]
    gives: Always[Given]

    @property
    def is_stream(self) -> bool:
        """What is inside TLS goes on unread: never."""
        return False


class Route(Part):
    name: Never[str]
    hosts: Always[list[str]]
    listeners: ByEffect[list[str] | None]  # as of a site
    priority: ByEffect[int]
    data: Always[Declared]
    requires: Always[list[str]]
    limits: Never[RouteLimits]
    log: Always[RouteLog | None]
    traces: Always[Traced]
    way: Always[Annotated[AtBackend | AtEdge | Here, Field(discriminator="ends")]]


Way = AtBackend | AtEdge | Here

"""The compiled plan, as the engine reads it: every key present, every choice tagged, nothing with a default.

It mirrors the Rust crate `everyhop-plan`; golden plans hold the two together.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from everyhop.model.words import Context, Declared

FORM = 1


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ThreadsCores(Part):
    """One for each core that the process may use: a word, so that the plan is the same on every machine."""

    count: Literal["cores"]


class ThreadsFixed(Part):
    count: Literal["fixed"]
    threads: Annotated[int, Field(ge=1, le=65_535)]


class Engine(Part):
    threads: Annotated[ThreadsCores | ThreadsFixed, Field(discriminator="count")]
    drain_s: int
    sandbox: Literal["off", "best-effort", "enforce"]


class ToOff(Part):
    to: Literal["off"]


class ToStdout(Part):
    to: Literal["stdout"]


class ToFile(Part):
    to: Literal["file"]
    path: str


NOWHERE = ("/dev/null", "/dev/zero", "/dev/full")
"""Files where no line of a log stays."""


class Log(Part):
    access: Annotated[ToOff | ToStdout | ToFile, Field(discriminator="to")]
    on_full: Literal["drop", "refuse"]


class StatusOff(Part):
    kind: Literal["off"]


class StatusBound(Part):
    kind: Literal["bound"]
    bind: str


class Limits(Part):
    hello_bytes: int
    handshake_s: int
    head_bytes: int
    head_fields: int
    target_bytes: int
    head_s: int
    body_progress_s: int
    idle_s: int
    connect_s: int
    first_byte_s: int
    tunnel_idle_s: int
    max_age_s: int
    upstream_idle_s: int
    upstream_idle_connections: int
    eject_after: int
    eject_s: int
    informational_responses: int
    h2_streams: int
    h2_header_list_bytes: int
    h2_header_fields: int
    h2_stream_window_bytes: int
    h2_connection_window_bytes: int
    h2_resets: int
    connections_per_source: int
    handshakes_per_source: int
    source_ipv6_prefix: int


class Refuse(Part):
    answer: Literal["refuse"]


class AnswerSite(Part):
    answer: Literal["site"]
    site: str


class AnswerRoute(Part):
    answer: Literal["route"]
    route: str


Unnamed = Annotated[Refuse | AnswerSite | AnswerRoute, Field(discriminator="answer")]


class Listener(Part):
    name: str
    bind: list[str]
    no_sni: Unnamed
    unknown_sni: Unnamed
    accept_proxy: list[str]
    trusted_proxies: list[str]
    connections: int


class TlsPolicy(Part):
    versions: list[str]
    suites: list[str]
    groups: list[str]


class ClientsNothing(Part):
    mode: Literal["nothing"]


class ClientsAsk(Part):
    mode: Literal["ask"]
    ca: str
    crl: str | None
    stale_crl: Literal["refuse", "allow"]


class ClientsRequire(Part):
    mode: Literal["require"]
    ca: str
    crl: str | None
    stale_crl: Literal["refuse", "allow"]


class Cert(Part):
    material: str
    chain: str
    key: str


class Site(Part):
    name: str
    hosts: list[str]
    certs: list[Cert]
    clients: Annotated[ClientsNothing | ClientsAsk | ClientsRequire, Field(discriminator="mode")]
    policy: TlsPolicy
    alpn: list[str]


class Identity(Part):
    name: str
    material: str
    chain: str
    key: str


class IpPlace(Part):
    kind: Literal["ip"]
    ip: str
    port: int

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"


class NamePlace(Part):
    kind: Literal["name"]
    name: str
    port: int

    def __str__(self) -> str:
        return f"{self.name}:{self.port}"


class UnixPlace(Part):
    kind: Literal["unix"]
    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


Place = Annotated[IpPlace | NamePlace | UnixPlace, Field(discriminator="kind")]


class Verify(Part):
    ca: str
    name: str


class Acceptance(Part):
    owner: str
    why: str
    context: Context
    since: str
    until: str
    closes_at_s: int


class SameHost(Part):
    kind: Literal["same_host"]


class Accepted(Part):
    kind: Literal["accepted"]
    acceptance: Acceptance


class MutualHop(Part):
    tls: Literal["mutual"]
    verify: Verify
    present: str
    policy: TlsPolicy


class ReencryptHop(Part):
    tls: Literal["reencrypt"]
    verify: Verify
    policy: TlsPolicy


class PlaintextHop(Part):
    tls: Literal["plaintext"]
    reach: Annotated[SameHost | Accepted, Field(discriminator="kind")]


Hop = Annotated[MutualHop | ReencryptHop | PlaintextHop, Field(discriminator="tls")]


class Backend(Part):
    at: Place
    hop: Hop


class AnyPath(Part):
    kind: Literal["any"]


class ExactPath(Part):
    kind: Literal["exact"]
    path: str


class PrefixPath(Part):
    kind: Literal["prefix"]
    path: str


class HeaderMatch(Part):
    name: str
    equals: str


class AtBackend(Part):
    ends: Literal["at_backend"]
    send_proxy: Literal["off", "v2"]
    backends: list[Place]


class AtEdge(Part):
    ends: Literal["at_edge"]
    pattern: Literal["plaintext", "reencrypt", "mutual"]
    path: Annotated[AnyPath | ExactPath | PrefixPath, Field(discriminator="kind")]
    methods: list[str]
    headers: list[HeaderMatch]
    allow_clients: list[str] | None
    websocket: bool
    upstream_protocol: Literal["http/1.1", "h2"]
    backends: list[Backend]


class Route(Part):
    name: str
    hosts: list[str]
    priority: int
    data: Declared
    requires: list[str]
    way: Annotated[AtBackend | AtEdge, Field(discriminator="ends")]


class Plan(Part):
    plan: Literal[1]
    engine: Engine
    log: Log
    status: Annotated[StatusOff | StatusBound, Field(discriminator="kind")]
    limits: Limits
    listeners: list[Listener]
    sites: list[Site]
    identities: list[Identity]
    routes: list[Route]


def canonical(value: object) -> str:
    """Sorted keys, no spaces, UTF-8, no floats."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class DoubledKey(ValueError):
    """A key occurs twice."""


def read_plan(text: str) -> Plan:
    """Reads a plan as strictly as the engine does.

    Raises `ValueError`.
    """

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise DoubledKey("a key occurs twice")
        return found

    return Plan.model_validate(json.loads(text, object_pairs_hook=once))

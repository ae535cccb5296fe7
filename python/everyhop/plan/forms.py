"""The compiled plan, as the engine reads it: every key present, every choice tagged, nothing with a default.

It mirrors the Rust crate `everyhop-plan`; golden plans hold the two together.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from everyhop.model.words import Context, Declared, StartTls
from everyhop.plan.told import Always, ByEffect, Never

FORM = 1


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ThreadsCores(Part):
    """One for each core that the process may use: a word, so that the plan is the same on every machine."""

    count: Literal["cores"]


class ThreadsFixed(Part):
    count: Literal["fixed"]
    threads: Never[Annotated[int, Field(ge=1, le=65_535)]]


class Engine(Part):
    threads: Never[Annotated[ThreadsCores | ThreadsFixed, Field(discriminator="count")]]
    drain_s: Never[int]
    sandbox: Always[Literal["off", "best-effort", "enforce"]]


class ToOff(Part):
    to: Literal["off"]


class ToStdout(Part):
    to: Literal["stdout"]


class ToFile(Part):
    to: Literal["file"]
    path: Never[str]


NOWHERE = ("/dev/null", "/dev/zero", "/dev/full")
"""Files where no line of a log stays."""


class Log(Part):
    access: Always[Annotated[ToOff | ToStdout | ToFile, Field(discriminator="to")]]
    on_full: Always[Literal["drop", "refuse"]]


class StatusOff(Part):
    kind: Literal["off"]


class StatusBound(Part):
    kind: Literal["bound"]
    bind: Always[str]


class Limits(Part):
    """What a flood costs, and how long a proof is believed."""

    hello_bytes: Never[int]
    handshake_s: Never[int]
    head_bytes: Never[int]
    head_fields: Never[int]
    target_bytes: Never[int]
    head_s: Never[int]
    body_progress_s: Never[int]
    answer_silence_s: Never[int]
    idle_s: Never[int]
    linger_s: Never[int]
    linger_bytes: Never[int]
    half_closed_s: Never[int]
    connect_s: Never[int]
    first_byte_s: Never[int]
    tunnel_idle_s: Never[int]
    max_age_s: Always[int]
    upstream_idle_s: Never[int]
    upstream_idle_connections: Never[int]
    eject_after: Never[int]
    eject_s: Never[int]
    informational_responses: Never[int]
    h2_streams: Never[int]
    h2_header_list_bytes: Never[int]
    h2_header_fields: Never[int]
    h2_stream_window_bytes: Never[int]
    h2_connection_window_bytes: Never[int]
    h2_resets: Never[int]
    connections_per_source: Never[int]
    handshakes_per_source: Never[int]
    source_ipv6_prefix: Never[int]


class RouteLimits(Part):
    """`null`: the file's holds."""

    connect_s: Never[int | None]
    first_byte_s: Never[int | None]
    body_progress_s: Never[int | None]
    answer_silence_s: Never[int | None]
    tunnel_idle_s: Never[int | None]


class Refuse(Part):
    answer: Literal["refuse"]


class AnswerSite(Part):
    answer: Literal["site"]
    site: Never[str]  # the hosts behind the name count


class AnswerRoute(Part):
    answer: Literal["route"]
    route: Never[str]


Unnamed = Annotated[Refuse | AnswerSite | AnswerRoute, Field(discriminator="answer")]


class SpeaksTls(Part):
    kind: Literal["tls"]


class SpeaksRedirect(Part):
    kind: Literal["redirect"]
    https_port: Never[Annotated[int, Field(ge=1, le=65_535)]]


class Listener(Part):
    name: Never[str]
    bind: Always[list[str]]
    speaks: Always[Annotated[SpeaksTls | SpeaksRedirect, Field(discriminator="kind")]]
    no_sni: Always[Unnamed]
    unknown_sni: Always[Unnamed]
    accept_proxy: Always[list[str]]
    trusted_proxies: Always[list[str]]
    believe: ByEffect[
        list[Literal["address", "forwarded", "host", "port", "proto", "request-id"]]
    ]  # nothing where nobody is trusted
    connections: Never[int]
    starttls: Never[StartTls | None]  # TLS it is in any case

    @property
    def is_plain(self) -> bool:
        """What comes here comes in the clear."""
        return self.speaks.kind != "tls"


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


class Verify(Part):
    by: Always[Annotated[ByRoots | ByPins, Field(discriminator="kind")]]
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


class AnyPath(Part):
    kind: Literal["any"]


class ExactPath(Part):
    kind: Literal["exact"]
    path: Always[str]


class PrefixPath(Part):
    kind: Literal["prefix"]
    path: Always[str]


class AsItCame(Part):
    kind: Literal["as_it_came"]


class Moved(Part):
    """Without `strip` at its beginning, behind `under`; either may be empty."""

    kind: Literal["moved"]
    strip: Always[str]
    under: Always[str]

    def __str__(self) -> str:
        return " and ".join(
            [*[f"without {self.strip}"] * bool(self.strip), *[f"behind {self.under}"] * bool(self.under)]
        )


class Fixed(Part):
    kind: Literal["fixed"]
    path: Always[str]

    def __str__(self) -> str:
        return f"as {self.path}"


class HeaderMatch(Part):
    name: Always[str]
    equals: Always[str]


class Most(Part):
    requests: Never[int]
    waiting: Never[int]
    wait_s: Never[int]


class Text(Part):
    kind: Literal["text"]
    text: Always[str]

    def __str__(self) -> str:
        return self.text.replace("{", "{{").replace("}", "}}")


Variable = Literal["client.address", "client.name", "tls.version", "request.id", "host", "path", "query", "method"]


class Of(Part):
    kind: Literal["of"]
    of: Always[Variable]

    def __str__(self) -> str:
        return f"{{{self.of}}}"


class Edit(Part):
    name: Always[str]
    value: Always[list[Annotated[Text | Of, Field(discriminator="kind")]]]

    def __str__(self) -> str:
        return f"{self.name}: {''.join(map(str, self.value))}"


class Edits(Part):
    """Removed first, then set, then added."""

    remove: Always[list[str]]
    set: Always[list[Edit]]
    add: Always[list[Edit]]


class Cors(Part):
    """Lists are sorted, and as the fields of an answer have them."""

    origins: Always[list[str]]
    methods: Always[list[str]]
    headers: Always[list[str]]
    expose: Always[list[str]]
    max_age_s: Never[int]
    credentials: Always[bool]


class ByTurns(Part):
    kind: Literal["turns"]


class ByLeast(Part):
    kind: Literal["least"]


class ByClientAddress(Part):
    kind: Literal["client_address"]


class ByHeader(Part):
    kind: Literal["header"]
    name: Never[str]


class ByCookie(Part):
    kind: Literal["cookie"]
    name: Never[str]


class ByPath(Part):
    kind: Literal["path"]


class Share(Part):
    weight: Never[Annotated[int, Field(ge=0, le=65_535)]]
    backup: Never[bool]


class Spread(Part):
    """How backends share what comes; who may have it stands in `backends`, and that alone is trust."""

    by: Never[
        Annotated[ByTurns | ByLeast | ByClientAddress | ByHeader | ByCookie | ByPath, Field(discriminator="kind")]
    ]
    shares: Never[list[Share]]  # one for each backend, in their order


Coding = Literal["zstd", "br", "gzip"]


class Compress(Part):
    """In which codings answers may go out that came without one."""

    codings: Always[list[Coding]]
    with_credentials: Always[bool]


class AtBackend(Part):
    ends: Literal["at_backend"]
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
    upgrades: ByEffect[list[str]]
    paths: ByEffect[Literal["faithful", "strict"]]
    target: Always[Annotated[AsItCame | Moved | Fixed, Field(discriminator="kind")]]
    host_header: Always[str | None]
    request: Always[Edits]
    response: Always[Edits]
    cors: Always[Cors | None]
    compress: Always[Compress | None]
    most: Never[Most | None]
    answers: ByEffect[Literal["strict", "lenient"]]
    upstream_protocol: ByEffect[Literal["http/1.1", "h2", "auto", "tcp"]]  # the same, and whether requests are read
    send_proxy: ByEffect[Literal["off", "v2"]]  # where it is sent
    starttls: Never[StartTls | None]  # as of a listener
    eject_on: Never[list[Literal["timeouts", "5xx"]]]
    spread: Never[Spread | None]
    backends: Always[list[Backend]]

    @property
    def is_stream(self) -> bool:
        """What is inside TLS goes on unread."""
        return self.upstream_protocol == "tcp"


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
    location: Always[list[Annotated[Text | Of, Field(discriminator="kind")]] | None]
    fields: Always[list[Edit]]
    body: Always[Annotated[NoContent | Words | PageContent, Field(discriminator="kind")]]


class Here(Part):
    """TLS ends at the edge, which answers itself."""

    ends: Literal["here"]
    path: Always[Annotated[AnyPath | ExactPath | PrefixPath, Field(discriminator="kind")]]
    methods: Always[list[str]]
    headers: Always[list[HeaderMatch]]
    allow_clients: Always[list[str] | None]
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
    way: Always[Annotated[AtBackend | AtEdge | Here, Field(discriminator="ends")]]


Way = AtBackend | AtEdge | Here


class Plan(Part):
    plan: Never[Literal[1]]
    engine: Always[Engine]
    log: Always[Log]
    status: Always[Annotated[StatusOff | StatusBound, Field(discriminator="kind")]]
    limits: Always[Limits]
    listeners: Always[list[Listener]]
    sites: Always[list[Site]]
    identities: Never[list[Identity]]  # an identity matters where a hop presents it
    routes: Always[list[Route]]

    @property
    def named_listeners(self) -> set[str]:
        """Those that a site or a route names; the others let reach what names none."""
        sites, routes = (it.listeners or [] for it in self.sites), (it.listeners or [] for it in self.routes)
        return {name for named in (*sites, *routes) for name in named}


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

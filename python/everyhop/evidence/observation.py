"""An observation: one line of the access log. The engine writes it; this is its form, strictly, for whoever reads it.

`schema/observation.schema.json` is generated from here, and every line that a wire test provokes is held to it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from everyhop.model.words import Lies, Pattern

Hex64 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Id = Annotated[str, Field(pattern="^[0-9a-f]{16}$")]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)


class Peer(Part):
    """Who proved to be whom, from a verified certificate."""

    names: list[str]
    """DNS, URI and e-mail names."""
    sha256: Hex64
    """Of the certificate."""
    key_sha256: Hex64
    """Of the public key (SubjectPublicKeyInfo)."""


class Facts(Part):
    """What TLS came to on one hop; `null` where there was none or it cannot be seen."""

    version: Literal["1.3", "1.2", "1.1", "1.0", "ssl3", "unknown"] | None
    suite: str | None
    group: str | None
    alpn: str | None
    resumed: bool
    peer: Peer | None


class Certificate(Part):
    """A certificate that was shown and not believed: whatever it says of itself."""

    names: list[str]
    subject: str | None
    issuer: str | None
    not_after: str | None
    sha256: Hex64


class RefusedCertificate(Part):
    """What a client showed and the site did not believe."""

    certificate: Certificate
    detail: str | None
    """What was wrong with it, in the words of the library that judged it."""


class ClientHop(Facts):
    tls: Literal["ended", "passed", "failed", "none", "plaintext"]
    """`plaintext`: what came was HTTP in the clear; `none`: nothing was read of the connection."""
    refused: RefusedCertificate | None
    """`null` where no certificate was refused."""


class BackendHop(Facts):
    at: str
    address: str | None
    """Which of its addresses; `null` for a Unix socket."""
    tls: Pattern
    identity: Literal["demanded", "not_demanded", "not_presented", "refused", "unknown"]
    """Whether the backend asked who we are; `demanded` only once it answered, so that it took what we showed."""
    reused: bool


class Token(Part):
    """Who was let in by a token (JWT)."""

    issuer: str
    """The name of the `[[issuer]]`."""
    subject: Annotated[str, Field(max_length=256)] | None
    """Whom it is about (`sub`), cut to 256 bytes."""


class AskedBy(Part):
    """Who was asked whether the request may pass, and what came of that."""

    by: str
    """The name of the `[[authorizer]]`."""
    verdict: Literal[
        "passed", "denied", "led-elsewhere", "unreached", "late", "unfit", "busy", "passed-unasked", "client-left"
    ]
    """`led-elsewhere`: a redirect, such as to where one signs in; `unfit`: an answer by which nobody passes and nobody is refused;
    `passed-unasked`: it could not be asked, and the request passed by somebody's acceptance."""
    status: Annotated[int, Field(ge=100, le=599)] | None
    """Of its answer."""
    duration_us: Annotated[int, Field(ge=0)]


class MatchedRule(Part):
    """A rule that matched."""

    rule: int
    """Its number."""
    on: Annotated[str, Field(max_length=256)]
    """In which part of the request, such as `ARGS:q`; never what stood there."""


class InspectedBy(Part):
    """What the request was inspected by, and what came of that."""

    by: str
    """The name of the `[[waf]]`."""
    verdict: Literal[
        "allowed",
        "denied",
        "late",
        "down",
        "busy",
        "failed",
        "body-too-long",
        "client-left",
        "passed-uninspected",
        "would-deny",
    ]
    """`failed`: it could not be inspected; `passed-uninspected`: nobody inspected it, and it passed by somebody's acceptance; `would-deny`:
    of rules that only detect, in a line of its own beside that of the request with the same `id`, whose `end` is `waf/would-deny`."""
    score: Annotated[int, Field(ge=0)] | None
    """Of the rules."""
    matched: Annotated[int, Field(ge=0)]
    """How many rules did."""
    rules: Annotated[list[MatchedRule], Field(max_length=16)]
    """The first of them."""
    duration_us: Annotated[int, Field(ge=0)]


class FailedHop(Part):
    """A try at a backend that failed."""

    at: str
    address: str | None
    end: str
    """The slug of why."""
    expected: str | None
    """The name that the certificate had to carry."""
    certificate: Certificate | None
    """The certificate that was not believed."""
    alert: str | None
    """The TLS alert that the backend sent."""
    detail: str | None
    """The rule or limit that its answer broke, or what the system or TLS said."""
    duration_us: Annotated[int, Field(ge=0)]


class Observation(Part):
    """One request where TLS ends here; one connection where it does not, where what is inside is not read (`tcp`), or where it
    was refused."""

    time: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")]
    conn: Id
    id: Id | None
    """Of the request; also sent to the backend as X-Request-Id, unless `told_id` is."""
    listener: str
    peer: str
    """Who opened the TCP connection, with port."""
    client: str
    """Whom a PROXY header spoke for; else the peer's address."""
    sni: str | None
    route: str | None
    pattern: Lies | None
    plan: Hex64
    material: Hex64
    client_hop: ClientHop
    backend_hop: BackendHop | None
    protocol: Literal["http/1.1", "h2", "tcp"] | None
    """What was read inside TLS, or in the clear; `tcp`: nothing was."""
    method: str | None
    host: str | None
    path: str | None
    """As it came, without the query; the first 512 bytes of one that is refused."""
    status: Annotated[int, Field(ge=100, le=599)] | None
    grpc_status: Annotated[int, Field(ge=0, le=16)] | None
    """What a call of gRPC ended with: by its trailers, or told by the edge; HTTP says 200 to each."""
    bytes_in: Annotated[int, Field(ge=0)]
    bytes_out: Annotated[int, Field(ge=0)]
    duration_us: Annotated[int, Field(ge=0)]
    end: str
    """`done`, or the slug of why not."""
    detail: str | None
    """What the slug alone does not tell, such as the other route that a path could be read as."""
    told_id: Annotated[str, Field(min_length=1, max_length=128)] | None
    """The X-Request-Id of a trusted proxy that the listener believes in it; sent to the backend in place of `id`."""
    trace_id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None
    """Of the trace that it is part of, where its route is traced."""
    token: Token | None
    """What was verified of the token that the route asked for; nothing of the token itself."""
    user: str | None
    """The name that signed in, where the route asked for one with its password; nothing of the password."""
    ask: AskedBy | None
    """Who was asked about it, where its route asks."""
    waf: InspectedBy | None
    """What it was inspected by, where its route has rules that refuse."""
    failed_hops: list[FailedHop]
    """Every try at a backend that failed, in order, also where the next one was good."""
    alarms: list[Literal["identity_not_demanded", "passed_unasked", "passed_uninspected"]]


def read_observation(line: str) -> Observation:
    """Raises `ValueError` for what is no observation."""
    return Observation.model_validate_json(line)

"""An observation: one line of the access log. The engine writes it; this is its form, strictly, for whoever reads it.

`schema/observation.schema.json` is generated from here, and every line that a wire test provokes is held to it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from everyhop.model.words import Pattern

Hex64 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Id = Annotated[str, Field(pattern="^[0-9a-f]{16}$")]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


class Peer(Part):
    """Who proved to be whom, from a verified certificate."""

    names: list[str]
    """DNS and URI names."""
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


class ClientHop(Facts):
    tls: Literal["ended", "passed", "failed", "none"]


class BackendHop(Facts):
    at: str
    tls: Pattern
    identity: Literal["demanded", "not_demanded", "not_presented", "unknown"]
    """Whether the backend asked who we are."""
    reused: bool


class Observation(Part):
    """One request where TLS ends here; one connection where it does not, or where it was refused."""

    time: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")]
    conn: Id
    id: Id | None
    """Of the request; also sent to the backend as X-Request-Id."""
    listener: str
    peer: str
    """Who opened the TCP connection, with port."""
    client: str
    """Whom a PROXY header spoke for; else the peer's address."""
    sni: str | None
    route: str | None
    pattern: Pattern | None
    plan: Hex64
    material: Hex64
    client_hop: ClientHop
    backend_hop: BackendHop | None
    protocol: Literal["http/1.1", "h2"] | None
    method: str | None
    host: str | None
    path: str | None
    """Canonical, without the query."""
    status: Annotated[int, Field(ge=100, le=599)] | None
    bytes_in: Annotated[int, Field(ge=0)]
    bytes_out: Annotated[int, Field(ge=0)]
    duration_us: Annotated[int, Field(ge=0)]
    end: str
    """`done`, or the slug of why not."""
    alarms: list[Literal["identity_not_demanded"]]


def read_observation(line: str) -> Observation:
    """Raises `ValueError` for what is no observation."""
    return Observation.model_validate_json(line)

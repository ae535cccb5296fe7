"""Names whose TLS ends at the edge, with their certificates; and what the edge shows to backends."""

from typing import Annotated, Literal

from pydantic import Field

from everyhop.model.base import Section


class KeyPair(Section):
    """A certificate chain and its key."""

    chain: str
    """PEM file, leaf first."""
    key: str
    """`file:PATH`, `env:NAME` or `cred:NAME` (systemd); never the key itself."""


class Clients(Section):
    """What a site demands of clients."""

    ca: str
    """PEM file of the roots that client certificates must chain to."""
    mode: Literal["require", "ask"] = "require"
    """`require` ends the handshake without one; `ask` lets the client come without."""
    crl: str | None = None
    """PEM file of revocation lists (RFC 5280), one for each authority of a client's chain; what no list speaks of is refused. The file is watched."""
    stale_crl: Literal["refuse", "allow"] = "refuse"
    """What a list means whose next update is overdue: no client certificate passes until it comes, or the old list still holds."""


class Site(Section):
    """`[[site]]`: the handshake belongs to it, since a certificate is shown before any path exists."""

    name: str
    hosts: list[str] | None = None
    """Exact names or `*.` and a suffix; default: the names of the first certificate."""
    certs: Annotated[list[KeyPair], Field(min_length=1)]
    """One or more: an ECDSA and an RSA certificate may stand side by side."""
    clients: Clients | None = None
    policy: Literal["intermediate", "modern"] = "intermediate"
    """`intermediate`: TLS 1.2 (ECDHE and AEAD only) and 1.3. `modern`: 1.3 only."""
    alpn: Annotated[list[Literal["h2", "http/1.1"]], Field(min_length=1)] = ["h2", "http/1.1"]


class Identity(Section):
    """`[[identity]]`: a certificate that we show to backends."""

    name: str
    chain: str
    key: str

"""Where connections arrive, and whose word about the client is believed there."""

from typing import Annotated, Literal

from pydantic import Field

from everyhop.model.base import Section
from everyhop.model.words import StartTls


class Listener(Section):
    """`[[listener]]`"""

    name: str
    """How routes, logs and metrics call it."""
    bind: Annotated[list[str], Field(min_length=1)]
    """Addresses such as `[::]:443`, which also takes IPv4, or `127.0.0.1:8443`."""
    speaks: Literal["tls", "http"] = "tls"
    """`http`: HTTP in the clear, HTTP/1.1 or HTTP/2 by prior knowledge. Nothing is forwarded from there: a request for a name of a site or a passthrough route is sent to https by 308, any other is refused. `/.well-known/acme-challenge/` is never redirected."""
    https_port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    """Where `speaks = "http"`: the port that clients are sent to. Default: that of the listeners that speak TLS, if it is one; where a container or a load balancer maps ports, the one that clients see must be written."""
    no_sni: str = "refuse"
    """What a hello without a server name gets: `refuse`, or a site's or passthrough route's name. Nobody is guessed."""
    unknown_sni: str = "refuse"
    """The same for a name that is not served here."""
    accept_proxy: list[str] = []
    """Networks that must send a PROXY header; all others must not."""
    trusted_proxies: list[str] = []
    """Networks whose X-Forwarded-For is believed."""
    starttls: StartTls | None = None
    """A protocol whose clients ask for TLS in the clear before they begin it; who does not ask for it is refused. `postgres`: SSLRequest (`sslmode=verify-full`); `smtp` and `imap`: STARTTLS, for which the edge greets in the clear; `ldap`: StartTLS. Clients of `postgres` and `ldap` may begin TLS at once as well."""
    connections: Annotated[int, Field(ge=1, le=10_000_000)] = 20_000
    """Most connections at once; each costs about 16 KiB when idle."""

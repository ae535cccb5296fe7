"""Where connections arrive, and whose word about the client is believed there."""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field

from everyhop.model.acceptance import Acceptance
from everyhop.model.base import Section
from everyhop.model.words import StartTls

Believed = Literal[
    "address", "client-cert", "forwarded", "host", "port", "prefix", "proto", "request-id", "trace-context"
]

FIELDS = {
    "address": "X-Forwarded-For",
    "client-cert": "Client-Cert",
    "forwarded": "Forwarded",
    "host": "X-Forwarded-Host",
    "port": "X-Forwarded-Port",
    "prefix": "X-Forwarded-Prefix",
    "proto": "X-Forwarded-Proto",
    "request-id": "X-Request-Id",
    "trace-context": "traceparent",
}
"""By what it is believed in: the field that says it."""


def fields(believed: Iterable[str]) -> str:
    """As people list them."""
    *some, last = [FIELDS[word] for word in believed] or ["X-Forwarded-For"]
    return f"{', '.join(some)} and {last}" if some else last


class TrustedProxies(Section):
    """`[[listener]] trusted_proxies`: proxies in front, and the fields that they are believed in."""

    networks: list[str] = []
    """Where they are. Where clients are named too, both must hold."""
    clients: list[str] = []
    """Who they prove to be by their certificate, named as in `allow` of a route: the site that they come to demands one. Fields of everybody else are taken out."""
    believe: Annotated[list[Believed], Field(min_length=1)] = ["address"]
    """Fields that your proxy sets itself on each request, whatever its client sent: `address` (X-Forwarded-For), `proto` (X-Forwarded-Proto), `host` (X-Forwarded-Host), `port` (X-Forwarded-Port), `prefix` (X-Forwarded-Prefix), `client-cert` (Client-Cert and Client-Cert-Chain, RFC 9440), `forwarded` (Forwarded, RFC 7239: addresses, scheme and host), `request-id` (X-Request-Id), `trace-context` (traceparent and tracestate, where requests are traced). The others are taken out, or said anew by the edge. No route is chosen by any of them."""


class Listener(Section):
    """`[[listener]]`"""

    name: str
    """How routes, logs and metrics call it."""
    bind: Annotated[list[str], Field(min_length=1)]
    """Addresses such as `[::]:443`, which also takes IPv4, or `127.0.0.1:8443`."""
    speaks: Literal["tls", "http"] = "tls"
    """`http`: HTTP in the clear, HTTP/1.1 or HTTP/2 by prior knowledge. Unless `serve` says otherwise nothing is forwarded from there: a request for a name of a site or a passthrough route is sent to https by 308, any other is refused. `/.well-known/acme-challenge/` is never redirected."""
    serve: bool = False
    """Where `speaks = "http"`: requests that come in the clear are served, for an edge behind another one that ended TLS. Its addresses are all on this host (`127.0.0.1`, `[::1]`), or it has an `acceptance`; when that is over it answers each request with 503. Names of passthrough routes and of sites that carry TCP are unknown there; routes and sites that demand a client's certificate must name other `listeners`."""
    acceptance: Acceptance | None = None
    https_port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    """Where `speaks = "http"`: the port that clients are sent to. Default: that of the listeners that speak TLS, if it is one; where a container or a load balancer maps ports, the one that clients see must be written."""
    no_sni: str = "refuse"
    """What a hello without a server name gets: `refuse`, or a site's or passthrough route's name. Nobody is guessed."""
    unknown_sni: str = "refuse"
    """The same for a name that is not served here."""
    accept_proxy: list[str] = []
    """Networks that must send a PROXY header; all others must not."""
    trusted_proxies: list[str] | TrustedProxies = []
    """Networks whose X-Forwarded-For is believed; as a table, what else they are believed in: `{ networks = ["10.0.0.0/24"], believe = ["address", "proto", "host"] }`, or who must have proved to be one by a certificate: `{ clients = ["edge.internal"] }`."""
    starttls: StartTls | None = None
    """A protocol whose clients ask for TLS in the clear before they begin it; who does not ask for it is refused. `postgres`: SSLRequest (`sslmode=verify-full`); `smtp` and `imap`: STARTTLS, for which the edge greets in the clear; `ldap`: StartTLS. Clients of `postgres` and `ldap` may begin TLS at once as well."""
    connections: Annotated[int, Field(ge=1, le=10_000_000)] = 20_000
    """Most connections at once; each holds some 6 KiB of the engine's memory when idle, 12 of HTTP/2, and what the kernel needs for its socket."""

    @property
    def trusts(self) -> TrustedProxies | None:
        """The proxies in front, however they are written."""
        if isinstance(self.trusted_proxies, TrustedProxies):
            return self.trusted_proxies
        return TrustedProxies(networks=self.trusted_proxies) if self.trusted_proxies else None

"""The capability matrix: what each pattern can give, one row a capability, with the reason and the way out.

Refusals, `explain`, `advise` and the reference all read it, so that what a pattern cannot give is said in one place. A
test holds every setting of a route to a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from everyhop.trust import kept
from everyhop.trust.kept import Check, Missing, Standing

PASSTHROUGH, MUTUAL, REENCRYPT, PLAINTEXT = "passthrough", "mutual", "reencrypt", "plaintext"
PATTERNS = (PASSTHROUGH, MUTUAL, REENCRYPT, PLAINTEXT)
EVERYWHERE = frozenset(PATTERNS)
TERMINATING = frozenset({MUTUAL, REENCRYPT, PLAINTEXT})
ENCRYPTED = frozenset({PASSTHROUGH, MUTUAL, REENCRYPT})


READS = "only where TLS ends is HTTP visible"
UNREAD = "a route of tcp carries bytes, and the edge reads no HTTP in them"
AT_BACKEND = "do it at the backend, where TLS ends"


@dataclass(frozen=True)
class Setting:
    """What `advise` writes so that a capability is kept: a key of that table with a TOML value; of `limit` in one that is named per-client."""

    table: Literal["route", "site", "issuer", "authorizer", "waf", "log", "status", "collector", "traces", "limit"]
    key: str
    value: str
    patterns: frozenset[str] = EVERYWHERE
    over_streams: bool = False
    """Also where TLS ends here and what is in it is carried unread."""

    def is_for(self, pattern: str, *, stream: bool) -> bool:
        return pattern in self.patterns or (stream and self.over_streams)


@dataclass(frozen=True)
class Capability:
    """Which patterns give it, why the others cannot, what to do there instead, and what must be configured."""

    title: str
    patterns: frozenset[str]
    reason: str = ""
    instead: str = ""
    built: bool = True
    """False: the pattern allows it, and Everyhop does not have it yet; `instead` says where to do it."""
    settings: tuple[str, ...] = ()
    """Keys of a route that use it."""
    check: Check = kept.by_pattern
    """What is missing on a route for it to be true; its docstring says what it looks for."""
    writes: tuple[Setting, ...] = ()
    """What makes the check pass."""
    duty: str = ""
    """What somebody else must do for it."""

    over_streams: bool = False
    """Also given where TLS ends here and what is in it is carried unread."""

    @property
    def reads_http(self) -> bool:
        """Requests must be read for it: a route with `protocol = "tcp"` has none."""
        return self.reason == READS

    def given_by(self, pattern: str, *, stream: bool) -> bool:
        """`stream`: the route has `protocol = "tcp"`."""
        return (pattern in self.patterns and not (stream and self.reads_http)) or (stream and self.over_streams)

    @property
    def needs(self) -> str:
        """What must be configured, in a sentence."""
        return " ".join((self.check.__doc__ or "").split())

    def told(self) -> dict[str, object]:
        """For programs."""
        return {
            "title": self.title,
            "patterns": sorted(self.patterns),
            "reason": self.reason,
            "instead": self.instead,
            "built": self.built,
            "settings": list(self.settings),
            "needs": self.needs,
        }


METRICS = Setting("status", "bind", '"127.0.0.1:9180"')
COLLECTED = (
    Setting("collector", "name", '"otel"'),
    Setting("collector", "to", '["127.0.0.1:4318"]'),
    Setting("collector", "tls", '"plaintext"'),
    Setting("traces", "collector", '"otel"'),
)
"""One on this host, as it is where each machine has its own: nothing crosses a network."""
PROXY = Setting("route", "send_proxy", '"v2"', frozenset({PASSTHROUGH}), over_streams=True)

CAPABILITIES: dict[str, Capability] = {
    "path-routing": Capability(
        "routing by path",
        TERMINATING,
        READS,
        "give the service a host name of its own",
        settings=("path", "path_exact", "paths"),
    ),
    "host-routing": Capability("routing by host name", EVERYWHERE, settings=("host",)),
    "header-routing": Capability("routing by header", TERMINATING, READS, AT_BACKEND, settings=("headers", "cookie")),
    "method-routing": Capability("routing by method", TERMINATING, READS, AT_BACKEND, settings=("method",)),
    "grpc": Capability(
        "gRPC by method, HTTP/2 to the backend",
        TERMINATING,
        READS,
        "gRPC passes through unread",
        settings=("upstream_protocol",),
        check=kept.http2_both_ways,
        writes=(Setting("route", "upstream_protocol", '"h2"'),),
        duty="the backend speaks HTTP/2",
    ),
    "websocket": Capability(
        "control over WebSocket upgrades",
        TERMINATING,
        READS,
        "WebSocket passes through unread",
        settings=("websocket", "upgrades"),
        check=kept.upgrades_pass,
        duty='where upstream_protocol = "h2", the backend takes WebSockets over HTTP/2 (RFC 8441)',
    ),
    "waf": Capability(
        "a web application firewall",
        TERMINATING,
        READS,
        "put a WAF in front of the edge or at the backend",
        settings=("waf",),
        check=kept.inspected,
        writes=(
            Setting("waf", "name", '"crs"'),
            Setting("route", "waf", '"crs"', TERMINATING),
        ),
        duty="the inspector is built, of Go: make waf; and somebody looks at what it refuses: rules refuse what is no attack, too",
    ),
    "jwt": Capability(
        "checking JWTs at the edge",
        TERMINATING,
        READS,
        "check tokens in the service",
        settings=("jwt",),
        check=kept.tokens_asked,
        writes=(
            Setting("issuer", "name", '"corp"'),
            Setting("issuer", "issuer", '"https://login.example.com"'),
            Setting("issuer", "audience", '"api"'),
            Setting("issuer", "keys", '{ file = "/etc/everyhop/corp.jwks.json" }'),
            Setting("issuer", "algorithms", '["ES256", "RS256"]'),
            Setting("route", "jwt", '{ issuer = "corp" }', TERMINATING),
        ),
        duty="somebody issues tokens to those who may pass, for this audience, and keeps its keys in the file",
    ),
    "passwords": Capability(
        "names and passwords asked for at the edge",
        TERMINATING,
        READS,
        "ask for them in the service",
        settings=("basic",),
        check=kept.passwords_asked,
        writes=(Setting("route", "basic", '{ file = "/etc/everyhop/users" }', TERMINATING),),
        duty="somebody keeps the file of users, which holds a hash of each password and no more",
    ),
    "forward-auth": Capability(
        "asking another service whether a request may pass",
        TERMINATING,
        READS,
        "let the service ask who decides",
        settings=("ask",),
        check=kept.asks,
        writes=(
            Setting("authorizer", "name", '"sso"'),
            Setting("authorizer", "to", '["127.0.0.1:4180"]'),
            Setting("authorizer", "tls", '"plaintext"'),
            Setting("authorizer", "path", '"/oauth2/auth"'),
            Setting("authorizer", "sends", '["cookie"]'),
            Setting("authorizer", "takes", '["x-auth-request-user"]'),
            Setting("route", "ask", '"sso"', TERMINATING),
            Setting("route", "paths", '"strict"', TERMINATING),
        ),
        duty="whoever is asked is there, reads what it is shown, and says who gets in",
    ),
    "http-metrics": Capability(
        "HTTP metrics",
        TERMINATING,
        READS,
        "TCP metrics, and HTTP metrics of the backend",
        check=kept.status_bound,
        writes=(METRICS,),
    ),
    "traces": Capability(
        "requests as spans, and backends told of their trace",
        TERMINATING,
        READS,
        "trace in the service",
        settings=("traces",),
        check=kept.told_to_collector,
        writes=COLLECTED,
        duty="whoever runs the collector reads methods, hosts, paths and who asked",
    ),
    "request-log": Capability(
        "a log line a request", TERMINATING, READS, "a log line a connection", check=kept.access_log
    ),
    "complete-log": Capability(
        "no request without its log line",
        TERMINATING,
        READS,
        "a log line a connection",
        check=kept.log_or_nothing,
        writes=(Setting("log", "on_full", '"refuse"'),),
        duty="somebody keeps room for the log: when it is full, requests are refused",
    ),
    "retries": Capability(
        "retries where nothing can happen twice",
        TERMINATING,
        READS,
        "another backend is tried before the first byte",
        settings=("retries",),
        check=kept.several_backends,
    ),
    "mirroring": Capability(
        "copies of requests to another place",
        TERMINATING,
        READS,
        "copy at the backend, which reads requests",
        settings=("mirror",),
        check=kept.mirrored,
        writes=(Setting("route", "mirror", '{ to = ["127.0.0.1:9443"], share = 0.1 }', TERMINATING),),
        duty="who keeps the mirror is trusted with what requests hold",
    ),
    "rate-limits": Capability(
        "rate limits by request",
        TERMINATING,
        READS,
        "limit connections by source with [limits], and requests in the service",
        settings=("limited_by",),
        check=kept.rate_limited,
        writes=(
            Setting("limit", "rate", '"100/s"', TERMINATING),
            Setting("route", "limited_by", '["per-client"]', TERMINATING),
        ),
    ),
    "circuit-breaking": Capability(
        "a bound on requests under way, with a queue",
        TERMINATING,
        READS,
        "limit connections with [[listener]] connections, and requests in the service",
        settings=("most",),
        check=kept.bounded,
        writes=(Setting("route", "most", "{ requests = 100, waiting = 100 }", TERMINATING),),
    ),
    "caching": Capability(
        "caching", TERMINATING, READS, "cache in the service, or at a CDN in front of the edge", built=False
    ),
    "header-rewriting": Capability(
        "identity headers set by the edge", TERMINATING, READS, "PROXY protocol: send_proxy"
    ),
    "field-edits": Capability(
        "fields of requests and answers set, added and removed",
        TERMINATING,
        READS,
        AT_BACKEND,
        settings=("request", "response", "host_header", "locations", "cookies"),
        check=kept.fields_edited,
        writes=(Setting("route", "response", '{ remove = ["server"] }', TERMINATING),),
    ),
    "path-rewriting": Capability(
        "another path to the backend than was asked for",
        TERMINATING,
        READS,
        AT_BACKEND,
        settings=("strip", "rewrite"),
        check=kept.path_moved,
        writes=(Setting("route", "rewrite", '"/prefix{path}"', TERMINATING),),
    ),
    "cors": Capability(
        "which pages of other origins may read answers",
        TERMINATING,
        READS,
        AT_BACKEND,
        settings=("cors",),
        check=kept.origins_said,
        writes=(Setting("route", "cors", '{ origins = ["https://app.example.com"] }', TERMINATING),),
        duty="those origins are pages that may read what the user of a browser may read here, where credentials are let through",
    ),
    "compression": Capability(
        "answers compressed on the way",
        TERMINATING,
        READS,
        AT_BACKEND,
        settings=("compress",),
        check=kept.compresses,
        writes=(Setting("route", "compress", '["zstd", "br", "gzip"]', TERMINATING),),
    ),
    "own-answers": Capability(
        "redirects and answers of the edge's own",
        TERMINATING,
        READS,
        AT_BACKEND,
        settings=("redirect", "answer"),
        duty="they are routes of their own, which have nothing behind them",
    ),
    "canary": Capability(
        "canary by header or path", TERMINATING, READS, "a host name of its own", settings=("priority",)
    ),
    "client-certificate-at-edge": Capability(
        "client certificates checked at the edge",
        TERMINATING,
        "a client proves its certificate to whoever ends its TLS",
        AT_BACKEND,
        settings=("allow",),
        check=kept.clients_proved,
        writes=(Setting("site", "clients", '{ ca = "/etc/everyhop/client-ca.pem", mode = "require" }'),),
        duty="an authority gives clients certificates, and its CA file is at the edge",
    ),
    "client-networks": Capability(
        "only clients at addresses of named networks",
        EVERYWHERE,
        settings=("allow",),
        check=kept.networks_named,
        writes=(Setting("route", "allow", '{ networks = ["10.0.0.0/8"] }', EVERYWHERE),),
        duty="whoever is in those networks gets in: an address proves nothing of who is there",
    ),
    "client-certificate-at-backend": Capability(
        "the backend sees the client's own handshake",
        frozenset({PASSTHROUGH}),
        "a client proves its certificate only to whoever ends its TLS, and that is the edge here",
        "the edge passes the verified certificate on (RFC 9440)",
    ),
    "client-address": Capability(
        "the backend learns the client's address",
        EVERYWHERE,
        settings=("send_proxy",),
        check=kept.address_told,
        writes=(PROXY,),
        duty="the backend reads the address from the PROXY header or from X-Forwarded-For, and takes both from the edge alone",
    ),
    "end-to-end-confidentiality": Capability(
        "nobody between client and backend can read",
        frozenset({PASSTHROUGH}),
        "a proxy where TLS ends can read everything that it carries",
        "accept the edge as a reader, or split what needs it from what does not",
        settings=("covers",),
        check=kept.no_key_here,
    ),
    "blind-proxy": Capability(
        "the proxy holds no key",
        frozenset({PASSTHROUGH}),
        "whoever ends TLS holds its key",
        "passthrough for that name",
        check=kept.no_key_here,
    ),
    "encrypted-from-client": Capability(
        "the way from the client is encrypted",
        EVERYWHERE,
        check=kept.from_clients,
        duty="somebody in front of the edge that ends TLS would have to be trusted with all of it",
    ),
    "encrypted-to-backend": Capability(
        "the way to the backend is encrypted",
        ENCRYPTED,
        "plaintext behind the edge is readable on its network",
        "reencrypt or mutual",
        check=kept.every_hop("reencrypt", "mutual"),
        settings=("tls", "off_host", "acceptance", "despite"),
    ),
    "backend-knows-edge": Capability(
        "the backend knows that it is the edge who calls",
        frozenset({MUTUAL}),
        "only mutual TLS proves to the backend who calls",
        "mutual",
        settings=("present",),
        check=kept.every_hop("mutual"),
    ),
    "backend-must-ask": Capability(
        "no request goes to a backend that asks nobody for a certificate",
        frozenset({MUTUAL}),
        "only where the edge proves who it is can a backend ask for that",
        "mutual, with demand_asks",
        settings=("demand_asks",),
        check=kept.asking_demanded,
        writes=(Setting("route", "demand_asks", "true", frozenset({MUTUAL})),),
        duty="the backend asks for the edge's certificate in its handshake, not by renegotiation after a request",
    ),
    "post-quantum-to-backend": Capability(
        "what is recorded of the way to the backend today stays closed to a quantum computer",
        frozenset({MUTUAL, REENCRYPT}),
        "only a handshake of the edge's own can be held to a key exchange",
        "mutual or reencrypt, with require_post_quantum; in passthrough client and backend agree on it themselves",
        settings=("require_post_quantum",),
        check=kept.post_quantum,
        writes=(Setting("route", "require_post_quantum", "true", frozenset({MUTUAL, REENCRYPT})),),
        duty="the backend has X25519MLKEM768, as OpenSSL 3.5, Go 1.24 and another edge do",
    ),
    "backend-verified": Capability(
        "the edge verifies the backend",
        frozenset({MUTUAL, REENCRYPT}),
        "in passthrough the client verifies the backend itself, in plaintext there is nothing to verify",
        "the client sees the backend's own certificate, or encrypt the hop",
        settings=("verify",),
        check=kept.every_hop("reencrypt", "mutual"),
    ),
    "survives-a-taken-proxy": Capability(
        "nothing but availability falls with the proxy",
        frozenset({PASSTHROUGH}),
        "where TLS ends, whoever takes the proxy reads and changes every request",
        "keep keys apart and patch the edge, or pass it through",
        check=kept.no_key_here,
    ),
    "independent-certificates": Capability(
        "public and internal certificates are apart",
        frozenset({MUTUAL, REENCRYPT}),
        "in passthrough the backend shows its certificate to clients itself, in plaintext it has none",
        "manage the certificate at the backend, or encrypt the hop",
        check=kept.keys_apart,
    ),
    "tcp-metrics": Capability(
        "metrics of connections and bytes: by route where TLS passes through or the route carries TCP; where requests are read, connections of the whole edge and bytes of bodies by route",
        EVERYWHERE,
        check=kept.status_bound,
        writes=(METRICS,),
    ),
    "sni-routing": Capability("routing by SNI", EVERYWHERE),
    "proxy-protocol": Capability(
        "PROXY protocol to the backend",
        frozenset({PASSTHROUGH}),
        "where TLS ends the address goes in headers",
        'X-Forwarded-For, which the edge sets; with protocol = "tcp" also here',
        over_streams=True,
        check=kept.proxy_header,
        writes=(PROXY,),
        duty="the backend expects a PROXY v2 header, and takes it from the edge alone",
    ),
    "health-by-connection": Capability(
        "backends that fail connects are left alone", EVERYWHERE, settings=("to",), check=kept.several_backends
    ),
    "health-by-http": Capability(
        "health checks by HTTP",
        TERMINATING,
        READS,
        "health = { connect = true }, which asks that a connection is taken",
        check=kept.asks_by_http,
        writes=(Setting("route", "health", '{ path = "/healthz" }', TERMINATING),),
        duty="a backend answers GET /healthz with a success while it is well",
    ),
    "stickiness": Capability(
        "clients stick to a backend",
        TERMINATING,
        READS,
        "give the route one backend, or let all backends know a session",
        settings=("sticky",),
        check=kept.comes_back,
        writes=(Setting("route", "sticky", '{ cookie = "edge" }', TERMINATING),),
    ),
    "http3": Capability(
        "HTTP/3",
        TERMINATING,
        "QUIC carries TLS of its own",
        "HTTP/2, which clients of HTTP/3 speak as well",
        built=False,
    ),
    "out-of-audit-scope": Capability(
        "the proxy is out of scope for data audits",
        frozenset({PASSTHROUGH}),
        "what can read the data is in scope",
        "passthrough for that name",
        check=kept.no_key_here,
    ),
}

# Settings that say something about a route without asking anything of its pattern.
NEUTRAL = frozenset(
    {
        "name",
        "listeners",
        "protocol",
        "starttls",
        "data",
        "requires",
        "limits",
        "log",
        "answers",
        "eject_on",
        "balance",
        "health",
        "slow_start_s",
    }
)


ALONE = "the edge answers it itself: there is no backend"
ANSWERED = frozenset(
    {
        "path-routing",
        "host-routing",
        "header-routing",
        "method-routing",
        "sni-routing",
        "canary",
        "http-metrics",
        "tcp-metrics",
        "request-log",
        "traces",
        "complete-log",
        "client-certificate-at-edge",
        "encrypted-from-client",
        "own-answers",
    }
)
"""What a route gives that the edge answers itself: all that is of its clients alone."""


def unmet(requirement: str, pattern: str, *, stream: bool) -> str | None:
    """Why `pattern` cannot give it; `None` if it can. `stream`: the route has `protocol = "tcp"`. Unknown requirements are a
    `KeyError`."""
    row = CAPABILITIES[requirement]
    if row.given_by(pattern, stream=stream):
        return None
    return UNREAD if stream and row.reads_http else row.reason


def missing(requirement: str, standing: Standing) -> Missing | None:
    """What is not configured for a route whose pattern can give it."""
    return CAPABILITIES[requirement].check(standing)

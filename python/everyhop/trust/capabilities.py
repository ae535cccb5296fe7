"""The capability matrix: what each pattern can give, one row a capability, with the reason and the way out.

Refusals, `explain`, `advise` and the reference all read it, so that what a pattern cannot give is said in one place. A
test holds every setting of a route to a row.
"""

from __future__ import annotations

from dataclasses import dataclass

PASSTHROUGH, MUTUAL, REENCRYPT, PLAINTEXT = "passthrough", "mutual", "reencrypt", "plaintext"
PATTERNS = (PASSTHROUGH, MUTUAL, REENCRYPT, PLAINTEXT)
EVERYWHERE = frozenset(PATTERNS)
TERMINATING = frozenset({MUTUAL, REENCRYPT, PLAINTEXT})
ENCRYPTED = frozenset({PASSTHROUGH, MUTUAL, REENCRYPT})


@dataclass(frozen=True)
class Capability:
    """Which patterns give it, why the others cannot, and what to do there instead."""

    title: str
    patterns: frozenset[str]
    reason: str = ""
    instead: str = ""
    built: bool = True
    """False: the pattern allows it, and Everyhop does not have it yet."""
    settings: tuple[str, ...] = ()
    """Keys of a route that use it."""


READS = "only where TLS ends is HTTP visible"
AT_BACKEND = "do it at the backend, where TLS ends"

CAPABILITIES: dict[str, Capability] = {
    "path-routing": Capability(
        "routing by path",
        TERMINATING,
        READS,
        "give the service a host name of its own",
        settings=("path", "path_exact"),
    ),
    "host-routing": Capability("routing by host name", EVERYWHERE, settings=("host",)),
    "header-routing": Capability("routing by header", TERMINATING, READS, AT_BACKEND, settings=("headers",)),
    "method-routing": Capability("routing by method", TERMINATING, READS, AT_BACKEND, settings=("method",)),
    "grpc": Capability(
        "gRPC by method, HTTP/2 to the backend",
        TERMINATING,
        READS,
        "gRPC passes through unread",
        settings=("upstream_protocol",),
    ),
    "websocket": Capability(
        "control over WebSocket upgrades",
        TERMINATING,
        READS,
        "WebSocket passes through unread",
        settings=("websocket",),
    ),
    "waf": Capability("a web application firewall", TERMINATING, READS, "put the WAF at the backend", built=False),
    "jwt": Capability("checking JWTs at the edge", TERMINATING, READS, AT_BACKEND, built=False),
    "http-metrics": Capability("HTTP metrics", TERMINATING, READS, "TCP metrics, and HTTP metrics of the backend"),
    "request-log": Capability("a log line a request", TERMINATING, READS, "a log line a connection"),
    "retries": Capability(
        "retries where nothing can happen twice", TERMINATING, READS, "another backend is tried before the first byte"
    ),
    "rate-limits": Capability("rate limits by request", TERMINATING, READS, "limits by connection", built=False),
    "caching": Capability("caching", TERMINATING, READS, "cache at the backend or at a CDN that ends TLS", built=False),
    "header-rewriting": Capability(
        "identity headers set by the edge", TERMINATING, READS, "PROXY protocol: send_proxy"
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
    ),
    "client-certificate-at-backend": Capability(
        "the backend sees the client's own handshake",
        frozenset({PASSTHROUGH}),
        "a client proves its certificate only to whoever ends its TLS, and that is the edge here",
        "the edge passes the verified certificate on (RFC 9440)",
    ),
    "client-address": Capability("the backend learns the client's address", EVERYWHERE, settings=("send_proxy",)),
    "end-to-end-confidentiality": Capability(
        "nobody between client and backend can read",
        frozenset({PASSTHROUGH}),
        "a proxy where TLS ends can read everything that it carries",
        "accept the edge as a reader, or split what needs it from what does not",
        settings=("covers",),
    ),
    "blind-proxy": Capability(
        "the proxy holds no key",
        frozenset({PASSTHROUGH}),
        "whoever ends TLS holds its key",
        "passthrough for that name",
    ),
    "encrypted-to-backend": Capability(
        "the way to the backend is encrypted",
        ENCRYPTED,
        "plaintext behind the edge is readable on its network",
        "reencrypt or mutual",
        settings=("tls", "off_host", "acceptance", "despite"),
    ),
    "backend-knows-edge": Capability(
        "the backend knows that it is the edge who calls",
        frozenset({MUTUAL}),
        "only mutual TLS proves to the backend who calls",
        "mutual",
        settings=("present",),
    ),
    "backend-verified": Capability(
        "the edge verifies the backend",
        frozenset({MUTUAL, REENCRYPT}),
        "in passthrough the client verifies the backend itself, in plaintext there is nothing to verify",
        "the client sees the backend's own certificate, or encrypt the hop",
        settings=("verify",),
    ),
    "survives-a-taken-proxy": Capability(
        "nothing but availability falls with the proxy",
        frozenset({PASSTHROUGH}),
        "where TLS ends, whoever takes the proxy reads and changes every request",
        "keep keys apart and patch the edge, or pass it through",
    ),
    "independent-certificates": Capability(
        "public and internal certificates are apart",
        TERMINATING,
        "the backend shows its certificate to clients itself",
        "manage the certificate at the backend",
    ),
    "tcp-metrics": Capability("metrics of connections and bytes", EVERYWHERE),
    "sni-routing": Capability("routing by SNI", EVERYWHERE),
    "proxy-protocol": Capability(
        "PROXY protocol to the backend",
        frozenset({PASSTHROUGH}),
        "where TLS ends the address goes in headers",
        "X-Forwarded-For, which the edge sets",
        settings=(),
    ),
    "health-by-connection": Capability("backends that fail connects are left alone", EVERYWHERE, settings=("to",)),
    "health-by-http": Capability("health checks by HTTP", TERMINATING, READS, "checks by connection", built=False),
    "stickiness": Capability("clients stick to a backend", TERMINATING, READS, "one backend a name", built=False),
    "http3": Capability("HTTP/3", TERMINATING, "QUIC carries TLS of its own", "HTTP/2", built=False),
    "out-of-audit-scope": Capability(
        "the proxy is out of scope for data audits",
        frozenset({PASSTHROUGH}),
        "what can read the data is in scope",
        "passthrough for that name",
    ),
}

# Settings that say something about a route without asking anything of its pattern.
NEUTRAL = frozenset({"name", "protocol", "data", "requires"})


def unmet(requirement: str, pattern: str) -> str | None:
    """Why `pattern` cannot give it; `None` if it can. Unknown requirements are a `KeyError`."""
    row = CAPABILITIES[requirement]
    return None if pattern in row.patterns else row.reason

"""The capability matrix, as far as routes can require it today: one row a capability, with the reason.

Refusals ask it, so that what a pattern cannot give is said in one place.
"""

from __future__ import annotations

from dataclasses import dataclass

PASSTHROUGH, MUTUAL, REENCRYPT, PLAINTEXT = "passthrough", "mutual", "reencrypt", "plaintext"
TERMINATING = frozenset({MUTUAL, REENCRYPT, PLAINTEXT})
ENCRYPTED = frozenset({PASSTHROUGH, MUTUAL, REENCRYPT})


@dataclass(frozen=True)
class Capability:
    """Which patterns give it, and why the others cannot."""

    patterns: frozenset[str]
    reason: str


READS_HTTP = "only a proxy where TLS ends sees HTTP"

CAPABILITIES: dict[str, Capability] = {
    "path-routing": Capability(TERMINATING, READS_HTTP),
    "header-routing": Capability(TERMINATING, READS_HTTP),
    "method-routing": Capability(TERMINATING, READS_HTTP),
    "waf": Capability(TERMINATING, READS_HTTP),
    "jwt": Capability(TERMINATING, READS_HTTP),
    "rate-limits": Capability(TERMINATING, READS_HTTP),
    "http-metrics": Capability(TERMINATING, READS_HTTP),
    "request-log": Capability(TERMINATING, READS_HTTP),
    "retries": Capability(TERMINATING, READS_HTTP),
    "client-certificate-at-edge": Capability(TERMINATING, "the client's certificate is proven to whoever ends its TLS"),
    "client-certificate-at-backend": Capability(
        frozenset({PASSTHROUGH}),
        "the client proves its certificate only to whoever ends its TLS, and that is the edge here",
    ),
    "end-to-end-confidentiality": Capability(
        frozenset({PASSTHROUGH}), "a proxy where TLS ends can read everything that it carries"
    ),
    "encrypted-to-backend": Capability(ENCRYPTED, "plaintext behind the edge is readable on its network"),
    "backend-knows-edge": Capability(
        frozenset({MUTUAL}), "only mutual TLS proves to the backend that it is the edge who calls"
    ),
    "sni-routing": Capability(ENCRYPTED | {PLAINTEXT}, ""),
}


def unmet(requirement: str, pattern: str) -> str | None:
    """Why `pattern` cannot give it; `None` if it can. Unknown requirements are a `KeyError`."""
    row = CAPABILITIES[requirement]
    return None if pattern in row.patterns else row.reason

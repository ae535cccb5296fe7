"""The kinds of change, and a change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

KINDS = {
    "boundary-moved": "where TLS ends moved",
    "hop-weakened": "a hop behind the edge protects less",
    "hop-strengthened": "a hop behind the edge protects more",
    "promise-weakened": "a route promises less of its backends",
    "promise-strengthened": "a route promises more of its backends",
    "new-reader": "somebody can read who could not before",
    "reader-gone": "somebody cannot read any more",
    "backend-added": "a backend is sent traffic that was not",
    "backend-removed": "a backend is sent traffic no more",
    "name-covered": "the edge's certificates cover a name that they did not",
    "name-uncovered": "the edge's certificates cover a name no more",
    "verification-changed": "backends are verified against something else",
    "identity-changed": "another identity is shown to a backend",
    "client-demand-weakened": "less is demanded of clients",
    "client-demand-strengthened": "more is demanded of clients",
    "client-roots-changed": "client certificates of another CA are believed",
    "revocation-weakened": "revoked client certificates may pass",
    "revocation-strengthened": "revoked client certificates are refused",
    "clients-widened": "more clients may pass",
    "clients-narrowed": "fewer clients may pass",
    "tls-weakened": "an older version, another cipher or a weaker key exchange may be used",
    "tls-strengthened": "an older version, a cipher or a key exchange is gone",
    "trusted-widened": "the word of more networks is believed",
    "trusted-narrowed": "the word of fewer networks is believed",
    "acceptance-added": "someone accepted a plaintext hop",
    "acceptance-lengthened": "an acceptance lasts longer",
    "acceptance-shortened": "an acceptance ends sooner",
    "acceptance-owner-changed": "somebody else answers for an acceptance",
    "acceptance-gone": "an acceptance is gone",
    "data-lowered": "the data is said to matter less",
    "data-raised": "the data is said to matter more",
    "route-added": "something new is served",
    "route-removed": "something is served no more",
    "precedence-changed": "another route may win",
    "tunnel-opened": "WebSocket tunnels pass",
    "tunnel-closed": "WebSocket tunnels pass no more",
    "address-told": "the backend is told the client's address in another way",
    "unnamed-answered": "hellos without a known name get another answer",
    "address-added": "connections are taken at another address",
    "address-removed": "connections are taken at an address no more",
    "evidence-weakened": "less is recorded of what happens",
    "evidence-strengthened": "more is recorded of what happens",
    "status-exposed": "metrics can be read from elsewhere",
    "status-closed": "metrics can be read from fewer places",
}

Direction = Literal["weaker", "stronger", "neutral"]


@dataclass(frozen=True)
class Change:
    """One change, what follows from it, and whether it is covered by someone's acceptance."""

    kind: str
    about: str
    """The route, site, listener or name."""
    direction: Direction
    what: str
    so: str
    covered: bool = False

    @property
    def allow(self) -> str:
        """What `--allow` takes."""
        return f"{self.kind}:{self.about}"

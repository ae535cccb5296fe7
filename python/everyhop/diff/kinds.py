"""The kinds of change, each with the direction in which it moves trust, and a change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Direction = Literal["weaker", "stronger", "neutral"]

# Kind -> direction, what it is.
KINDS: dict[str, tuple[Direction, str]] = {
    "boundary-moved": ("weaker", "TLS ended at the backend and ends at the edge"),
    "boundary-returned": ("stronger", "TLS ended at the edge and ends at the backend"),
    "hop-weakened": ("weaker", "a hop behind the edge protects less"),
    "hop-strengthened": ("stronger", "a hop behind the edge protects more"),
    "off-host-unsaid": ("weaker", "a loopback hop was said to leave this host, and is not any more"),
    "promise-weakened": ("weaker", "a route promises less of its backends"),
    "promise-strengthened": ("stronger", "a route promises more of its backends"),
    "requirement-dropped": ("weaker", "a route requires less"),
    "requirement-added": ("stronger", "a route requires more"),
    "new-reader": ("weaker", "somebody can read who could not before"),
    "reader-gone": ("stronger", "somebody cannot read any more"),
    "backend-added": ("neutral", "a backend is sent traffic that was not"),
    "backend-removed": ("neutral", "a backend is sent traffic no more"),
    "name-covered": ("weaker", "the edge's certificates cover a name that they did not"),
    "name-uncovered": ("stronger", "the edge's certificates cover a name no more"),
    "names-unknown": ("weaker", "a site's names are those of a certificate that cannot be read here"),
    "verification-changed": ("weaker", "backends are verified against something else"),
    "identity-changed": ("neutral", "another identity is shown to a backend"),
    "key-moved": ("weaker", "a private key comes from somewhere else"),
    "client-demand-weakened": ("weaker", "less is demanded of clients"),
    "client-demand-strengthened": ("stronger", "more is demanded of clients"),
    "client-roots-changed": ("weaker", "client certificates of another CA are believed"),
    "revocation-weakened": ("weaker", "revoked client certificates may pass"),
    "revocation-strengthened": ("stronger", "revoked client certificates are refused"),
    "clients-widened": ("weaker", "more clients may pass"),
    "backend-opened": ("weaker", "clients of which less is proved reach a backend that others reached"),
    "clients-narrowed": ("stronger", "fewer clients may pass"),
    "proof-lengthened": ("weaker", "what was proved in a handshake is believed for longer"),
    "proof-shortened": ("stronger", "what was proved in a handshake is believed for a shorter time"),
    "tls-weakened": ("weaker", "an older version, another cipher or a weaker key exchange may be used"),
    "tls-strengthened": ("stronger", "an older version, a cipher or a key exchange is gone"),
    "trusted-widened": ("weaker", "the word of more networks is believed"),
    "trusted-narrowed": ("stronger", "the word of fewer networks is believed"),
    "acceptance-added": ("weaker", "someone accepted a plaintext hop"),
    "acceptance-widened": ("weaker", "an acceptance speaks of another backend"),
    "acceptance-lengthened": ("weaker", "an acceptance lasts longer"),
    "acceptance-shortened": ("stronger", "an acceptance ends sooner"),
    "acceptance-owner-changed": ("neutral", "somebody else answers for an acceptance"),
    "acceptance-gone": ("stronger", "an acceptance is gone"),
    "data-lowered": ("weaker", "the data is said to matter less"),
    "data-raised": ("stronger", "the data is said to matter more"),
    "route-added": ("neutral", "something new is served"),
    "route-removed": ("neutral", "something is served no more"),
    "tunnel-opened": ("weaker", "WebSocket tunnels pass"),
    "tunnel-closed": ("stronger", "WebSocket tunnels pass no more"),
    "address-told": ("neutral", "the backend is told the client's address in another way"),
    "unnamed-answered": ("weaker", "hellos without a known name were refused and get an answer"),
    "unnamed-moved": ("neutral", "hellos without a known name get another answer"),
    "unnamed-refused": ("stronger", "hellos without a known name are refused"),
    "address-exposed": ("weaker", "connections are taken from farther away"),
    "address-added": ("neutral", "connections are taken at another address"),
    "address-removed": ("neutral", "connections are taken at an address no more"),
    "sandbox-weakened": ("weaker", "the engine is confined less"),
    "sandbox-strengthened": ("stronger", "the engine is confined more"),
    "user-changed": ("weaker", "the engine becomes another user"),
    "user-lowered": ("stronger", "the engine becomes nobody"),
    "control-moved": ("weaker", "orders are taken at another place"),
    "evidence-weakened": ("weaker", "less is recorded of what happens"),
    "evidence-strengthened": ("stronger", "more is recorded of what happens"),
    "status-exposed": ("weaker", "metrics can be read from elsewhere"),
    "status-moved": ("neutral", "metrics can be read at another address, and from no farther"),
    "status-closed": ("neutral", "metrics can be read from fewer places"),
}


@dataclass(frozen=True)
class Change:
    """One change, and what follows from it."""

    kind: str
    about: str
    """The route, site, listener or name."""
    what: str
    so: str
    accepted: tuple[str, ...] = ()
    """The addresses plaintext to which makes it, each accepted by somebody."""
    covered: bool = False
    """Excused by an acceptance that is a change of its own in the same edit, and has to be allowed itself: one that is new
    for each of the addresses."""

    @property
    def direction(self) -> Direction:
        return KINDS[self.kind][0]

    @property
    def allow(self) -> str:
        """What `--allow` takes."""
        return f"{self.kind}:{self.about}"


def either(worse: bool, kinds: tuple[str, str], about: str, what: str, so: tuple[str, str]) -> Change:
    """The weaker or the stronger one of two opposite kinds, with what follows from each."""
    return Change(kinds[0] if worse else kinds[1], about, what, so[0] if worse else so[1])

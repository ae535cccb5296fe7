"""Where a copy of some of a route's requests goes, whose answers nobody gets."""

from typing import Annotated, Literal

from pydantic import Field

from everyhop.model.base import Section
from everyhop.model.edits import Edits
from everyhop.model.hop import Hop, Verify
from everyhop.model.words import HopTls


class Mirror(Section):
    """What is not said here of its hops is as its route says it. A copy has the host, the path and the fields that the request goes to its own backend with, and its id. What opens a tunnel and what calls gRPC is not copied."""

    to: Annotated[list[str | Hop], Field(min_length=1)]
    """As `to` of a route; several take turns. None of them is a backend of the route, or weaker than the route."""
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Which part of the requests is copied, chosen by chance; in steps of a millionth."""
    tls: HopTls | None = None
    """As strong as the route's `tls` or stronger; plaintext across a network takes the route's acceptance, which speaks of it, too."""
    verify: Verify | None = None
    present: str | None = None
    """The `[[identity]]` shown to the mirror."""
    upstream_protocol: Literal["http/1.1", "h2", "auto"] | None = None
    """Default: the route's."""
    request: Edits | None = None
    """Fields of the copy that are changed, after what the route changes: `{ remove = ["authorization", "cookie"], set = { x-copy = "1" } }`. Without it the copy holds all that the request holds, passwords and cookies included."""
    body_bytes: Annotated[int, Field(ge=0, le=16_777_216)] = 65_536
    """A request with a longer body is not copied; what is copied is held in memory until the request is all there."""
    at_once: Annotated[int, Field(ge=1, le=100_000)] = 100
    """Copies being made or under way, all threads together; above it none is made. At most `at_once` times `body_bytes` is held."""
    timeout_s: Annotated[int, Field(ge=1, le=3600)] = 10
    """For connecting, TLS, the copy and its answer together; then it is given up."""

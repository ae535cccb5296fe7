"""What the edge asks a route's backends by itself, to know which of them are well."""

from typing import Annotated, Literal

from pydantic import Field

from everyhop.model.base import Section

Seconds = Annotated[int, Field(ge=1, le=3600)]
Row = Annotated[int, Field(ge=1, le=100)]


class Health(Section):
    """One of `path`, `grpc` and `connect`: what each backend is asked over the route's own hop, with its proof of who it is. A backend that does not pass takes nothing new until it does; before the first result it counts as up. While fewer than half of them are up, and no backup is, all are used, but never one whose certificate is refused."""

    path: str | None = None
    """A GET of this path, with a query or without, is to be answered with `status`. The body of the answer is not waited for, unless `body` says what it holds."""
    status: str | None = None
    """Which statuses are well, such as `"200-299,401"`; default `"200-299"`."""
    body: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """A text that stands in the body of the answer to `path`, within its first 16 KiB, letter by letter, such as `"ready"`. What comes in a coding, which nobody asked for, is not unpacked."""
    host: str | None = None
    """The host that `path` or `grpc` asks for; default: the route's `host_header`, else its first `host` that is no wildcard."""
    grpc: str | None = None
    """The service of which `grpc.health.v1.Health/Check` is asked, to be answered `SERVING`; `""` is the server as a whole. Where backends speak HTTP/2."""
    connect: Literal[True] | None = None
    """That a connection is taken and, where the hop has TLS that ends here, that the handshake proves who is there. All that can be asked where TLS passes through or `protocol = "tcp"`."""
    every_s: Seconds = 5
    """From the end of one check to the next, give or take a tenth, so that checks do not come all at once."""
    timeout_s: Seconds = 2
    """For the connection, the handshake and the head of the answer together, and for its `body` where that is asked for."""
    down_after: Row = 2
    """Checks in a row that fail before a backend takes nothing new. A certificate that is refused needs one."""
    up_after: Row = 1
    """Checks in a row that pass before it takes its share again."""

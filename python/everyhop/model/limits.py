"""Limits of the data path. Every one is ours and named: a dependency's own default is never our decision."""

from typing import Annotated

from pydantic import Field

from everyhop.model.base import Section

Positive = Annotated[int, Field(ge=1, le=2_000_000_000)]
Bytes = Annotated[int, Field(ge=0, le=1_000_000_000_000_000)]
Count = Annotated[int, Field(ge=0, le=2_000_000_000)]


class RouteLimits(Section):
    """`[[route]] limits`: what holds for its requests and hops instead of the file's."""

    connect_s: Positive | None = None
    first_byte_s: Positive | None = None
    body_progress_s: Positive | None = None
    body_bytes: Bytes | None = None
    answer_silence_s: Positive | None = None
    total_s: Count | None = None
    tunnel_idle_s: Positive | None = None


class Limits(Section):
    """`[limits]`: sizes in bytes, times in seconds, each with the reason for its default."""

    hello_bytes: Positive = 16_384
    """A ClientHello; post-quantum ones take about 1,800 bytes, and padding is rare."""
    handshake_s: Positive = 10
    """From accept to the end of the handshake; three round trips of the worst mobile network fit ten times."""
    head_bytes: Positive = 32_768
    """A request or response head, and as much again of trailers; cookies and tokens rarely pass 16 KiB."""
    head_fields: Positive = 100
    """Fields of a head; browsers send about 20."""
    target_bytes: Positive = 8_192
    """A request target; RFC 9110 asks for at least 8,000."""
    head_s: Positive = 15
    """From a head's first byte to its last: ends slow-head attacks."""
    body_progress_s: Positive = 30
    """Longest silence of a client within a request's body, of a backend that takes nothing of it, or of a client that takes nothing of its answer; any byte starts it again."""
    body_bytes: Bytes = 0
    """A request's body, 0 for any length: bodies are streamed, and cost no memory here. What declares more is refused with 413 before a backend sees it, what turns out to be more is broken off."""
    answer_silence_s: Positive = 300
    """Longest silence of a backend within an answer: event streams, long polls and calls of gRPC are quiet for minutes."""
    total_s: Count = 0
    """From a request's head to the end of its answer, all tries together; 0: as long as it takes, since downloads and event streams take hours. 504 if the answer has not begun, else it is broken off. A WebSocket is done once it is opened."""
    idle_s: Positive = 60
    """A client connection between requests; browsers come back within a minute or not soon."""
    linger_s: Positive = 30
    """What a client still sends after its last answer (the rest of an upload that was answered early) is read and thrown away for so long, and no longer once it is silent for 5 s: closing at once would reset the answer away (RFC 9112 9.6)."""
    linger_bytes: Positive = 268_435_456
    """And at most so much of it, on one connection or HTTP/2 stream; none of it is kept."""
    half_closed_s: Count = 5
    """A client whose socket ended in its direction while it waits still gets an answer that begins within this time, as long as it never pauses for longer; after it, or once the socket is reset, it is gone and the work for it ends. 0: at once."""
    connect_s: Positive = 5
    """TCP and TLS to a backend; a backend in the same region answers within milliseconds."""
    first_byte_s: Positive = 60
    """From the end of the request to the head of the answer."""
    tunnel_idle_s: Positive = 600
    """A passthrough or upgraded connection on which no byte moves."""
    max_age_s: Positive = 86_400
    """A client's connection at all: what was decided and proved at its beginning holds for a day at most. Passthrough and upgraded ones are cut; HTTP ends between two requests."""
    upstream_idle_s: Positive = 4
    """An idle backend connection; below the keep-alive of common servers (5 s of Node, uvicorn and Apache), so that they do not close first. One that says `Keep-Alive: timeout=` is left a second before that."""
    upstream_idle_connections: Positive = 1024
    """Idle connections kept for one backend and thread: as many as a burst of HTTP/2 streams needs, so that the next one opens none."""
    eject_after: Positive = 3
    """Failed connects or handshakes in a row, or what else the route says (`eject_on`), before a backend is left alone."""
    eject_s: Positive = 10
    """How long it is left alone before the edge itself asks whether it is back, and how long until it is asked again."""
    informational_responses: Positive = 16
    """1xx responses to one request."""
    h2_streams: Positive = 100
    """Concurrent requests of an HTTP/2 connection."""
    h2_header_list_bytes: Positive = 65_536
    """A decoded field list."""
    h2_header_fields: Positive = 128
    """Fields of a request; each crumb of a cookie counts."""
    h2_stream_window_bytes: Annotated[int, Field(ge=1, le=2_147_483_647)] = 65_536
    """What a client may send ahead on one request to begin with; for one that fills it, it grows to the connection's. For one that is 10 ms away or more it is eight times the connection's, which bounds it."""
    h2_connection_window_bytes: Annotated[int, Field(ge=65_535, le=2_147_483_647)] = 1_048_576
    """What a client may send ahead on one connection. A body from 10 ms away or more that declares its length is lent up to eight times as much beside it, and all connections of a thread together 64 times, so that an upload does not wait for a round trip each window. Bodies that a backend does not take hold what they hold: a connection whose own they fill while other requests of it have a body to send is lent the same, in the same bounds."""
    h2_resets: Positive = 1_000
    """Protocol errors of one connection before it is closed."""
    connections_per_source: Count = 10_000
    """Connections of one source at once, 0 for no limit; half of a listener's default, so that nobody shuts out all others. Peers in `trusted_proxies` are not counted, of those in `accept_proxy` the client that they name is."""
    handshakes_per_source: Count = 0
    """New TLS connections of one source a second, in bursts of as many, 0 for no limit: networks and proxies share addresses, so what is too many only you know. Directly facing the internet, 50 stops a flood and no browser."""
    source_ipv6_prefix: Annotated[int, Field(ge=16, le=128)] = 64
    """Bits of an IPv6 address that make a source: a host has a whole /64 to pick from."""

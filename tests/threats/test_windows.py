"""Windows of HTTP/2 are as wide as the way is long: they grow where a peer is far and fills them, and nowhere else; what a
body from afar is lent beyond them has a bound."""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator

import h2.events
import pytest

from tests.kit import EdgeKit, Pki, Raw, tls
from tests.kit.edge import until
from tests.kit.h2_backend import Asked, H2Backend, Spoken
from tests.threats.frames import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PING,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Client,
    fields,
    frame,
    window,
)
from tests.threats.test_http2_backends import at_its_end, route

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
Frames = Iterator[tuple[int, int, int, bytes]]


def passes(moment: float) -> None:
    until(lambda: time.monotonic() > moment or None)


def ping(frames: Frames) -> bytes:
    return next(body for kind, flags, _, body in frames if kind == PING and not flags & ACK)


@pytest.mark.parametrize("way_s", [0.01, 0.05])
def test_the_windows_of_a_client_that_is_far_away_grow_to_the_connections_own(
    edge: Edges, raw: Raws, pki: Pki, way_s: float
) -> None:
    """F10."""
    it = edge(route(raw(H2Backend(at_its_end)).port))

    def seems_near() -> tuple[Client, Frames] | None:
        """On a busy machine a handshake may take as long as one from afar."""
        client = Client(tls(it.port, "a.test", pki.public.file, alpn=["h2"]))
        client.sock.settimeout(20)
        frames = client.read()
        if window(next(body for kind, _, _, body in frames if kind == SETTINGS)) == 65_536:
            return client, frames
        client.sock.close()
        return None

    client, frames = until(seems_near)
    with client.sock:
        client.send(frame(HEADERS, fields("a.test", method=b"POST"), flags=END_HEADERS, stream=1))
        found, sent = 65_536, 0
        while found < 1_048_576:
            # As much as the windows allow: what was sent before was taken.
            for _ in range(3):
                client.send(frame(DATA, bytes(16_000), stream=1))
                sent += 16_000
            asked = ping(frames)
            arrives = time.monotonic() + way_s
            for _ in range(found // 65_536 * 2 + 1):
                client.send(frame(DATA, bytes(16_000), stream=1))
            passes(arrives)
            client.send(frame(PING, asked, flags=ACK))
            wider = next(w for kind, flags, _, body in frames if kind == SETTINGS and (w := window(body)))
            assert wider == min(found * 4, 1_048_576)
            found = wider


OWN = 131_072
LIMITS = f"[limits]\nh2_connection_window_bytes = {OWN}\n"


def slowly(port: int, pki: Pki, host: str = "a.test") -> ssl.SSLSocket | None:
    """A session whose client took its time; `None` where it was not asked before the edge had answered already."""
    context = ssl.create_default_context(cafile=str(pki.public.file))
    context.set_alpn_protocols(["h2"])
    raw = socket.create_connection(("127.0.0.1", port), 20)
    raw.setblocking(False)
    sock = context.wrap_socket(raw, server_hostname=host, do_handshake_on_connect=False)
    try:
        sock.do_handshake()
    except ssl.SSLWantReadError:
        assert select.select([sock], [], [], 20)[0]
        passes(time.monotonic() + 0.02)
        sock.settimeout(20)
        sock.do_handshake()
        return sock
    sock.close()
    return None


class Counting(Client):
    """A client that counts what it may send, on all streams together and beyond what each may begin with."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self.room = self.of_streams = 65_535
        self.more: dict[int, int] = {}
        super().__init__(sock)

    def note(self, kind: int, flags: int, stream: int, body: bytes) -> None:
        super().note(kind, flags, stream, body)
        if kind == WINDOW_UPDATE and stream == 0:
            self.room += int.from_bytes(body, "big")
        elif kind == WINDOW_UPDATE:
            self.more[stream] = self.more.get(stream, 0) + int.from_bytes(body, "big")
        elif kind == SETTINGS and not flags & ACK:
            self.of_streams = window(body) or self.of_streams

    def declare(self, stream: int, length: int) -> int:
        """What may be sent on the connection once a body of this length was announced."""
        block = fields("a.test", (b"content-length", b"%d" % length), method=b"POST")
        self.send(frame(HEADERS, block, flags=END_HEADERS, stream=stream))
        self.settle()
        return self.room

    def settle(self) -> None:
        """Reads what was said before the answer to a PING, and what its handling made the edge say."""
        for _ in range(2):
            self.send(frame(PING, bytes(8)))
            next(kind for kind, flags, _, _ in self.read() if kind == PING and flags & ACK)

    def upload(self, stream: int, length: int) -> None:
        for at in range(0, length, 16_000):
            n = min(16_000, length - at)
            self.send(frame(DATA, bytes(n), flags=END_STREAM if at + n == length else 0, stream=stream))
        self.room -= length

    def fill(self, stream: int) -> int:
        """Sends what the windows allow of a body that has no end, until nothing more is allowed; gives how much."""
        sent = 0
        while (n := min(16_000, self.room, self.of_streams + self.more.get(stream, 0) - sent)) > 0:
            self.send(frame(DATA, bytes(n), stream=stream))
            self.room -= n
            sent += n
            self.settle()
        return sent


class Far(Counting):
    """A client whose answer to the edge's part of the handshake takes a while to arrive."""

    def __init__(self, port: int, pki: Pki) -> None:
        super().__init__(until(lambda: slowly(port, pki)))


@pytest.mark.parametrize("others", [0, 5])
def test_a_body_from_afar_needs_one_round_trip(edge: Edges, raw: Raws, pki: Pki, others: int) -> None:
    """F10. As much as it declares may be sent before a byte of it came; for the next one it is kept while others have enough."""
    length = 8 * OWN - 1000
    it = edge(route(raw(H2Backend(at_its_end)).port), more=LIMITS)
    clients = [Far(it.port, pki) for _ in range(others + 1)]
    client = clients.pop()
    with client.sock:
        # A short one has room enough.
        assert client.declare(1, OWN // 2) == OWN and client.of_streams == 8 * OWN
        for other in clients:
            assert other.declare(1, 100_000_000) == 9 * OWN
        for stream in (3, 5):
            assert client.declare(stream, length) >= length
            client.upload(stream, length)
            assert client.whole(stream) == "200" and client.bodies[stream] == b"%d" % length
            client.settle()
            assert client.room <= OWN if others else client.room >= length
    for other in clients:
        other.sock.close()


def test_what_all_clients_may_send_ahead_beyond_their_own_has_a_bound(edge: Edges, raw: Raws, pki: Pki) -> None:
    """F10. Each has its own windows, and all together 64 such; what was offered and not used is not offered twice."""
    it = edge(route(raw(H2Backend(at_its_end)).port), more=LIMITS)
    many = [Far(it.port, pki) for _ in range(12)]
    rooms = [client.declare(1, 100_000_000) for client in many]
    assert rooms == [9 * OWN] * 8 + [OWN] * 4
    for client in many:
        client.send(frame(RST_STREAM, (8).to_bytes(4, "big"), stream=1))
    # They may still send it.
    assert [client.declare(3, 100_000_000) for client in many] == rooms
    many.pop(0).sock.close()

    def lent_again() -> bool:
        client = Far(it.port, pki)
        many.append(client)
        return client.declare(1, 100_000_000) == 9 * OWN

    until(lambda: lent_again() or None)
    for client in many:
        client.sock.close()


class Stuck(H2Backend):
    """Takes nothing of what is sent to `/stuck`, and counts it towards that stream alone."""

    def note(self, spoken: Spoken, here: dict[int, Asked], event: h2.events.Event) -> None:
        if isinstance(event, h2.events.DataReceived) and here[event.stream_id].fields[b":path"] == b"/stuck":
            return spoken.h2.increment_flow_control_window(event.flow_controlled_length)
        return super().note(spoken, here, event)


@pytest.mark.parametrize("is_far", [False, True])
def test_bodies_that_nobody_takes_do_not_keep_others_of_their_connection_from_being_sent(
    edge: Edges, raw: Raws, pki: Pki, is_far: bool
) -> None:
    """F10. One stream may fill the connection's own windows here, and does."""
    limits = f"{LIMITS}h2_stream_window_bytes = {OWN}\n"
    it = edge(route(raw(Stuck(at_its_end)).port), more=limits)
    client = Far(it.port, pki) if is_far else Counting(tls(it.port, "a.test", pki.public.file, alpn=["h2"]))
    with client.sock:
        client.sock.settimeout(20)
        # That says no length, for which its connection would be lent something.
        for stream, path in ((1, b"/stuck"), *(() if is_far else ((3, b"/stuck"), (5, b"/stuck"))), (7, b"/other")):
            client.send(frame(HEADERS, fields("a.test", path=path, method=b"POST"), flags=END_HEADERS, stream=stream))
            client.settle()
            if path == b"/stuck":
                assert client.fill(stream) >= OWN
        assert client.room >= 100_000
        client.upload(7, 100_000)
        assert (client.whole(7), client.bodies.get(7)) == ("200", b"100000")

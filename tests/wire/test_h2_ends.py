"""A client of HTTP/2 that ends its direction, by TLS's goodbye or its socket's end, while it waits for answers: it gets them
(RFC 8446 §6.1), and nothing is waited for that cannot come. Read first `test_ends.py`, the same of HTTP/1.1.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

import h2.config
import h2.connection
import h2.events
import pytest

from tests.kit import EdgeKit, Pki, Raw
from tests.kit.edge import until
from tests.kit.flight import Flight
from tests.kit.h2_backend import Asked, H2Backend, Spoken
from tests.kit.raw import OK, head
from tests.kit.settle import settle

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

MANY = 20
protocols = pytest.mark.parametrize("protocol", ["http/1.1", "h2"])
ways = pytest.mark.parametrize("way", ["close_notify", "FIN", "both"])


class Holds:
    """A backend of either protocol that answers no request before it is let go."""

    def __init__(self, raw: Raws, protocol: str, answer: bytes = OK) -> None:
        self.answer = answer
        self.asked = 0
        self.lock = threading.Lock()
        self.go = threading.Event()
        self.held: list[tuple[Spoken, int]] = []
        self.raw = raw(H2Backend(self.on) if protocol == "h2" else self.over_h1)
        self.protocol = protocol

    def over_h1(self, sock: socket.socket, record: bytearray) -> None:
        while head(sock, record) is not None:
            with self.lock:
                self.asked += 1
            self.go.wait(60)
            sock.sendall(self.answer)

    def on(self, spoken: Spoken, asked: Asked, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            self.asked += 1
            if self.go.is_set():
                spoken.answer(asked.stream)
            else:
                self.held.append((spoken, asked.stream))
        elif isinstance(event, h2.events.StreamReset):
            self.held.remove((spoken, asked.stream))

    def settles(self, it: EdgeKit) -> None:
        """Until the edge has seen what came, and each thread waits that reads."""
        settle(it, *[self.raw] if self.protocol == "h2" else [])

    def let_go(self, it: EdgeKit) -> None:
        # What answers is another thread than what reads.
        self.settles(it)
        self.go.set()
        for spoken, stream in self.held:
            spoken.answer(stream)
            spoken.sock.sendall(spoken.h2.data_to_send())

    @property
    def route(self) -> str:
        return (
            f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{self.raw.port}"]\n'
            f'upstream_protocol = "{self.protocol}"\n'
        )


class Client(Flight):
    """Speaks HTTP/2, and ends its direction in one of the ways."""

    def __init__(self, it: EdgeKit, pki: Pki, name: str = "a.test") -> None:
        super().__init__(it.port, pki, name, ["h2"])
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
        self.h2.initiate_connection()

    def asks(self, path: str = "/", *, method: str = "GET", end: bool = True) -> int:
        stream = self.h2.get_next_available_stream_id()
        fields = [(":method", method), (":path", path), (":scheme", "https"), (":authority", "a.test")]
        self.h2.send_headers(stream, fields, end_stream=end)
        return stream

    def writes(self) -> None:
        self.tls.write(self.h2.data_to_send())

    def ends(self, way: str) -> None:
        if way != "FIN":
            self.says_goodbye()
        self.send()
        if way != "close_notify":
            self.sock.shutdown(socket.SHUT_WR)

    def outcomes(self) -> dict[int, str]:
        """Of each stream, to the end of the connection: how it was answered, and how it ended."""
        out: dict[int, str] = {}
        while some := self.some():
            for event in self.h2.receive_data(some):
                if isinstance(event, h2.events.ResponseReceived):
                    out[event.stream_id] = dict(event.headers)[b":status"].decode()
                elif isinstance(event, h2.events.StreamReset):
                    out[event.stream_id] = "reset"
                elif isinstance(event, h2.events.StreamEnded):
                    out[event.stream_id] += " whole"
        return out


def waits(it: EdgeKit, pki: Pki, backend: Holds, count: int) -> tuple[Client, list[int]]:
    """A client whose requests the backend has and holds, and their streams."""
    client = Client(it, pki)
    streams = [client.asks() for _ in range(count)]
    client.writes()
    client.send()
    until(lambda: backend.asked == count or None)
    return client, streams


def ends_of(it: EdgeKit, count: int) -> list[str]:
    until(lambda: len([x for x in it.lines() if x["route"]]) == count or None)
    return [x["end"] for x in it.lines() if x["route"]]


@ways
@protocols
def test_requests_and_the_end_of_the_direction_in_one_flight_are_answered(
    edge: Edges, raw: Raws, pki: Pki, protocol: str, way: str
) -> None:
    backend = Holds(raw, protocol)
    backend.go.set()
    it = edge(backend.route)
    client = Client(it, pki)
    streams = [client.asks() for _ in range(MANY)]
    client.writes()
    client.ends(way)
    assert client.outcomes() == dict.fromkeys(streams, "200 whole")
    client.sock.close()
    assert ends_of(it, MANY) == ["done"] * MANY


@ways
@protocols
def test_the_end_of_the_direction_while_requests_wait_loses_no_answer(
    edge: Edges, raw: Raws, pki: Pki, protocol: str, way: str
) -> None:
    """F04. However late they come, where the client listens for sure."""
    backend = Holds(raw, protocol)
    it = edge(backend.route, more="[limits]\nhalf_closed_s = 60\n")
    client, streams = waits(it, pki, backend, MANY)
    client.ends(way)
    backend.let_go(it)
    assert client.outcomes() == dict.fromkeys(streams, "200 whole")
    client.sock.close()
    assert ends_of(it, MANY) == ["done"] * MANY


@ways
@protocols
def test_a_request_whose_end_cannot_come_is_cut_and_the_others_are_answered(
    edge: Edges, raw: Raws, pki: Pki, protocol: str, way: str
) -> None:
    backend = Holds(raw, protocol)
    it = edge(backend.route, more="[limits]\nhalf_closed_s = 3600\n")
    client = Client(it, pki)
    asks = client.asks("/asks")
    sends = client.asks("/sends", method="POST", end=False)
    client.h2.send_data(sends, b"half of it")
    client.writes()
    client.send()
    until(lambda: backend.asked == 2 or None)
    client.ends(way)
    assert it.line(lambda x: x["path"] == "/sends")["end"] == "request/client-gone"
    backend.let_go(it)
    assert client.outcomes().get(asks) == "200 whole"
    client.sock.close()
    assert it.line(lambda x: x["path"] == "/asks")["end"] == "done"


@protocols
@pytest.mark.parametrize("polite", [True, False], ids=["after a goodbye", "without a word"])
def test_a_client_that_is_gone_takes_its_requests_with_it_at_once(
    edge: Edges, raw: Raws, pki: Pki, protocol: str, polite: bool
) -> None:
    backend = Holds(raw, protocol)
    it = edge(backend.route, more="[limits]\nhalf_closed_s = 3600\n")
    client, _ = waits(it, pki, backend, MANY)
    if polite:
        client.says_goodbye()
        client.send()
        backend.settles(it)
    client.reset()
    assert ends_of(it, MANY) == ["request/client-gone"] * MANY
    backend.go.set()


def test_an_end_within_a_frame_is_none_to_wait_after(edge: Edges, raw: Raws, pki: Pki) -> None:
    """Who is cut off listens no more."""
    backend = Holds(raw, "http/1.1")
    it = edge(backend.route, more="[limits]\nhalf_closed_s = 3600\n")
    client = Client(it, pki)
    client.asks()
    client.writes()
    client.tls.write(b"\0\0\x08\x06\0")
    client.send()
    until(lambda: backend.asked == 1 or None)
    client.sock.shutdown(socket.SHUT_WR)
    assert ends_of(it, 1) == ["request/client-gone"]
    backend.go.set()


@pytest.mark.parametrize("seconds", [0, 1])
@pytest.mark.parametrize("way", ["FIN", "both"])
def test_after_the_socket_s_end_nothing_is_waited_for_longer_than_half_closed_s(
    edge: Edges, raw: Raws, pki: Pki, way: str, seconds: int
) -> None:
    backend = Holds(raw, "http/1.1")
    it = edge(backend.route, more=f"[limits]\nhalf_closed_s = {seconds}\n")
    client, _ = waits(it, pki, backend, 1)
    client.ends(way)
    assert ends_of(it, 1) == ["request/client-gone"]
    assert client.outcomes() in ({}, {1: "reset"})
    backend.go.set()


@pytest.mark.parametrize("way", ["FIN", "both"])
def test_an_answer_that_no_window_lets_through_any_more_is_given_up(edge: Edges, raw: Raws, pki: Pki, way: str) -> None:
    """Who ended its direction opens no window again."""
    long = b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000
    backend = Holds(raw, "http/1.1", long)
    it = edge(backend.route, more="[limits]\nhalf_closed_s = 1\n")
    client = Client(it, pki)
    client.asks()
    client.writes()
    client.ends(way)
    backend.go.set()
    assert ends_of(it, 1) == ["request/client-gone"]
    assert client.outcomes() in ({}, {1: "200"}, {1: "reset"})


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
def test_an_answer_goes_on_after_the_socket_s_end_as_long_as_it_moves(
    edge: Edges, raw: Raws, pki: Pki, version: str
) -> None:
    """Longer than `half_closed_s`, which is for silence."""
    pieces, pause_s = 16, 0.25

    def drips(sock: socket.socket, record: bytearray) -> None:
        assert head(sock, record)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % pieces)
        for _ in range(pieces):
            # Until it is time, or the edge has left.
            if threading.Event().wait(pause_s):
                return
            sock.sendall(b"x")

    port = raw(drips).port
    it = edge(
        f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n',
        more="[limits]\nhalf_closed_s = 3\n",
    )
    if version == "HTTP/2":
        client = Client(it, pki)
        client.asks()
        client.writes()
        client.ends("FIN")
        assert client.outcomes() == {1: "200 whole"}
    else:
        flight = Flight(it.port, pki)
        flight.tls.write(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        flight.send()
        flight.sock.shutdown(socket.SHUT_WR)
        assert flight.all().endswith(b"\r\n\r\n" + b"x" * pieces)
    assert ends_of(it, 1) == ["done"]

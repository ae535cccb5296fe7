"""Trailers behind a body of a declared length, which HTTP/2 has and HTTP/1.1 has not: there they need chunks (RFC 9112 §7.1.2).
They are passed on where they were announced, and left out where not; a message is framed in one way in either case."""

from __future__ import annotations

import socket
from collections.abc import Callable

import h2.events
import pytest

from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.h2_backend import Asked, H2Backend, Spoken
from tests.kit.h2_socket import Client
from tests.kit.raw import OK, Record, head, take
from tests.kit.settle import settle

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"


def route(port: int, more: str = "") -> str:
    return f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n{more}'


def told(behind: bytes) -> Callable[[socket.socket, Record], None]:
    """A backend of HTTP/1.1 that reads up to `behind`."""

    def script(sock: socket.socket, record: Record) -> None:
        head(sock, record)
        while not record.endswith(behind):
            assert take(sock, record, 4096)
        sock.sendall(OK)
        # Anything more would be a second request.
        take(sock, record, 4096)

    return script


@pytest.mark.parametrize("announced", [True, False])
def test_trailers_of_a_request_come_in_chunks_where_they_were_announced(
    edge: Edges, raw: Raws, pki: Pki, announced: bool
) -> None:
    """X01. And where they were not, the declared length goes on and they do not."""
    backend = raw(told(b"\r\n0\r\nx-sum: whole\r\n\r\n" if announced else b"\r\n\r\nhello"))
    it = edge(route(backend.port))
    client = Client(it.port, pki.public.file)
    pseudo = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"a.test"), (b":path", b"/up")]
    asked = client.ask([*pseudo, (b"content-length", b"5"), *([(b"trailer", b"x-sum")] if announced else [])])
    client.send(asked, b"hello")
    client.h2.send_headers(asked.number, [(b"x-sum", b"whole"), (b"x-forwarded-for", b"9.9.9.9")], end_stream=True)
    client.flush()
    client.until(asked, lambda: asked.ended is not None)
    assert asked.status == 200
    settle(it, backend)
    came, _, behind = backend.received.partition(b"\r\n\r\n")
    length, chunks, names = b"\r\ncontent-length: 5", b"\r\ntransfer-encoding: chunked", b"\r\ntrailer: x-sum"
    assert [it in came for it in (length, chunks, names)] == (
        [False, True, True] if announced else [True, False, False]
    )
    assert behind == (b"5\r\nhello\r\n0\r\nx-sum: whole\r\n\r\n" if announced else b"hello")


def answering(announced: bool) -> H2Backend:
    def on(spoken: Spoken, asked: Asked, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.StreamEnded):
            names = [(b"trailer", b"x-sum")] if announced else []
            spoken.h2.send_headers(asked.stream, [(b":status", b"200"), (b"content-length", b"5"), *names])
            spoken.h2.send_data(asked.stream, b"hello")
            spoken.h2.send_headers(asked.stream, [(b"x-sum", b"whole")], end_stream=True)

    return H2Backend(on)


@pytest.mark.parametrize("announced", [True, False])
def test_trailers_of_an_answer_come_in_chunks_where_they_were_announced(
    edge: Edges, raw: Raws, pki: Pki, announced: bool
) -> None:
    """X01. A client of HTTP/1.0 knows no chunks: it gets the length."""
    it = edge(route(raw(answering(announced)).port, 'upstream_protocol = "h2"\n'))
    with tls(it.port, "a.test", pki.public.file) as sock:
        sock.sendall(GET.encode())
        end = b"\r\n0\r\nx-sum: whole\r\n\r\n" if announced else b"\r\n\r\nhello"
        got = b""
        while not got.endswith(end):
            got += sock.recv(4096)
        shown, _, behind = got.lower().partition(b"\r\n\r\n")
        assert (b"\r\ncontent-length: 5" in shown, b"\r\ntransfer-encoding: chunked" in shown) == (
            not announced,
            announced,
        )
        assert (b"\r\ntrailer: x-sum" in shown) == announced
        assert behind == (b"5\r\nhello\r\n0\r\nx-sum: whole\r\n\r\n" if announced else b"hello")
        assert exchange(sock, GET).text == "hello", "the next answer begins where this one ended"
    with tls(it.port, "a.test", pki.public.file) as sock:
        answer = exchange(sock, "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n")
        assert (answer.headers["content-length"], answer.body) == ("5", b"hello")


def test_trailers_of_an_answer_of_a_declared_length_pass_within_http2(edge: Edges, raw: Raws, pki: Pki) -> None:
    it = edge(route(raw(answering(False)).port, 'upstream_protocol = "h2"\n'))
    client = Client(it.port, pki.public.file)
    found = client.get()
    assert found.fields[b"content-length"] == b"5" and found.trailers == {b"x-sum": b"whole"}

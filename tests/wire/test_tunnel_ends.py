"""A tunnel ends on one side as it ended on the other: what was broken off is no end."""

from __future__ import annotations

import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable

import pytest

from tests.kit import EdgeKit, Pki, Raw, tls
from tests.kit.edge import until
from tests.kit.raw import Record, head

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

ASKED = (
    b"GET /ws HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)
AGREED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


def breaks(sock: socket.socket) -> None:
    """Ends it as a process does that dies with bytes unread: by a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Tunnel:
    """A backend that agrees to a tunnel, and ends it `how` when it is told."""

    def __init__(self, how: str) -> None:
        self.how, self.now, self.heard = how, threading.Event(), ""

    def __call__(self, sock: socket.socket, record: Record) -> None:
        if head(sock, record) is None:
            return
        sock.sendall(AGREED + b"hi")
        if self.how == "the client":
            self.heard = end_of(sock)
            return
        assert self.now.wait(20)
        if self.how == "reset":
            # TLS has nothing to do with it: the kernel resets.
            breaks(sock)


def end_of(sock: socket.socket) -> str:
    """As the kernel has it: OpenSSL makes an end of a reset."""
    with socket.socket(fileno=os.dup(sock.fileno())) as below:
        below.settimeout(20)
        try:
            while below.recv(4096):
                pass
        except ConnectionError:
            return "reset"
        return "end"


@pytest.mark.parametrize(("how", "told"), [("reset", "reset"), ("end", "end")])
def test_a_backend_that_breaks_off_a_tunnel_is_broken_off_for_the_client(
    edge: Edges, raw: Raws, pki: Pki, how: str, told: str
) -> None:
    """U01."""
    script = Tunnel(how)
    backend = raw(script)
    it = edge(f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{backend.port}"]\n')
    with tls(it.port, "a.test", pki.public.file) as sock:
        opened(sock)
        script.now.set()
        assert end_of(sock) == told
    assert it.line(lambda line: line["status"] == 101)["end"] == ("connection/broken" if how == "reset" else "done")


def test_a_client_that_breaks_off_a_tunnel_is_broken_off_for_the_backend(edge: Edges, raw: Raws, pki: Pki) -> None:
    """U01."""
    script = Tunnel("the client")
    backend = raw(script)
    it = edge(f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{backend.port}"]\n')
    sock = tls(it.port, "a.test", pki.public.file)
    opened(sock)
    breaks(sock)
    until(lambda: script.heard or None)
    assert script.heard == "reset"


def opened(sock: ssl.SSLSocket) -> None:
    sock.settimeout(20)
    sock.sendall(ASKED)
    got = b""
    while not got.endswith(b"hi"):
        got += sock.recv(4096)
    assert got.startswith(b"HTTP/1.1 101 ")

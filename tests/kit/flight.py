"""A TLS client whose bytes are sent when a test says so: what is in one flight, where a goodbye stands, and whether the
socket ends with it. Read next: `clients.py`, for those that need none of this.
"""

from __future__ import annotations

import socket
import ssl

import pytest

from tests.kit.clients import opened
from tests.kit.edge import Pki


class Flight:
    """What is written waits for `send`."""

    def __init__(self, port: int, pki: Pki, name: str = "a.test", alpn: list[str] | None = None) -> None:
        self.sock = opened(socket.create_connection(("127.0.0.1", port), 20))
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.create_default_context(cafile=str(pki.public.file))
        if alpn:
            context.set_alpn_protocols(alpn)
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)
        while True:
            try:
                self.tls.do_handshake()
                return
            except ssl.SSLWantReadError:
                self.send()
                self.incoming.write(self.sock.recv(65536))

    def send(self) -> None:
        self.sock.sendall(self.outgoing.read())

    def says_goodbye(self) -> None:
        with pytest.raises(ssl.SSLWantReadError):
            self.tls.unwrap()

    def reset(self) -> None:
        """It is gone, and says so by its socket alone."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def some(self) -> bytes:
        """What comes next; nothing at the other side's goodbye."""
        while True:
            try:
                return self.tls.read(65536)
            except ssl.SSLWantReadError:
                more = self.sock.recv(65536)
                assert more, "cut off"
                self.incoming.write(more)
            except ssl.SSLZeroReturnError:
                return b""

    def all(self) -> bytes:
        """What came until the other side's goodbye."""
        out = b""
        while data := self.some():
            out += data
        return out

"""A backend that records every byte of each connection and answers by a script, perhaps over TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

from everyhop.demo.certificates import Leaf

Script = Callable[[socket.socket, bytearray], None]


def server_context(leaf: Leaf, *, clients: Path | None = None, alpn: list[str] | None = None) -> ssl.SSLContext:
    """A server's side of TLS, that demands a certificate of `clients` if they are named."""
    it = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    it.load_cert_chain(leaf.chain, leaf.key)
    if clients is not None:
        it.load_verify_locations(clients)
        it.verify_mode = ssl.CERT_REQUIRED
    if alpn:
        it.set_alpn_protocols(alpn)
    return it


class Raw:
    """`script` gets each connection after accept (and handshake) with the record of what it received."""

    def __init__(
        self, script: Script, leaf: Leaf | None = None, *, clients: Path | None = None, alpn: list[str] | None = None
    ) -> None:
        self.script = script
        self.records: list[bytearray] = []
        self.failures: list[Exception] = []
        self.context = None if leaf is None else server_context(leaf, clients=clients, alpn=alpn)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            record = bytearray()
            self.records.append(record)
            threading.Thread(target=self.serve, args=(sock, record), daemon=True).start()

    def serve(self, sock: socket.socket, record: bytearray) -> None:
        sock.settimeout(20)
        try:
            spoken = self.context.wrap_socket(sock, server_side=True) if self.context else sock
        except OSError as e:
            self.failures.append(e)
            sock.close()
            return
        with contextlib.suppress(OSError), spoken:
            self.script(spoken, record)

    @property
    def received(self) -> bytes:
        """Everything from all connections."""
        return b"".join(bytes(r) for r in self.records)

    def close(self) -> None:
        self.listener.close()


def head(sock: socket.socket, record: bytearray) -> bytes | None:
    """The next request head, recorded; `None` at the end of the connection. Bytes behind it stay for `rest`."""
    start = len(record)
    while b"\r\n\r\n" not in record[start:]:
        data = sock.recv(1)
        if not data:
            return None
        record += data
    return bytes(record[start:])


def rest(sock: socket.socket, record: bytearray, count: int) -> bytes:
    """Exactly `count` more bytes, recorded."""
    data = bytearray()
    while len(data) < count:
        more = sock.recv(count - len(data))
        if not more:
            break
        data += more
    record += data
    return bytes(data)


def answering(*answers: bytes) -> Script:
    """Reads a head and sends an answer, as often as there are answers; the last is for all that follow."""

    def script(sock: socket.socket, record: bytearray) -> None:
        at = 0
        while head(sock, record) is not None:
            sock.sendall(answers[min(at, len(answers) - 1)])
            at += 1

    return script


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

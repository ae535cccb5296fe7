"""A backend that counts: each request by its id, each byte by its hash. It can wait, echo, upgrade, and be gone."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import socket
import ssl
import threading
from collections import Counter
from pathlib import Path
from typing import BinaryIO

from everyhop.demo.certificates import Leaf
from tests.kit.raw import server_context

PIECE = os.urandom(1 << 20)
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"


class Counting:
    """`requests` counts ids (the field `X-Id`), `gate` holds answers to `/slow` back while it is closed."""

    def __init__(self, leaf: Leaf | None = None, *, clients: Path | None = None, name: str = "") -> None:
        self.name = name.encode()
        self.requests: Counter[str] = Counter()
        self.total = 0
        self.received = 0
        self.took: dict[str, str] = {}
        self.gave: dict[str, str] = {}
        self.gate = threading.Event()
        self.gate.set()
        self.waiting = 0
        self.delay_s = 0.0
        self.lock = threading.Lock()
        self.open: set[socket.socket] = set()
        self.life = 0
        self.context = None if leaf is None else server_context(leaf, clients=clients)
        self.listener: socket.socket | None = None
        self.port = 0
        self.rise()

    def rise(self) -> None:
        """Listens: the first time on a free port, then on the same again."""
        it = socket.socket()
        it.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        it.bind(("127.0.0.1", self.port))
        it.listen(1024)
        self.port = it.getsockname()[1]
        self.listener = it
        threading.Thread(target=self.accept, args=(it, self.life, self.context), daemon=True).start()

    def fall(self) -> None:
        """Is gone: no listener, and every connection reset, as when its process is killed."""
        listener, self.listener = self.listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self.lock:
            # A handshake in hand, or what a thread has read already, is of a life that is over.
            self.life += 1
            for sock in self.open:
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    sock.shutdown(socket.SHUT_RDWR)

    close = fall

    def accept(self, listener: socket.socket, life: int, context: ssl.SSLContext | None) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.open.add(sock)
            threading.Thread(target=self.serve, args=(sock, life, context), daemon=True).start()

    def serve(self, sock: socket.socket, life: int, context: ssl.SSLContext | None) -> None:
        spoken = sock
        try:
            with contextlib.suppress(OSError, ValueError):
                spoken = context.wrap_socket(sock, server_side=True) if context else sock
                with self.lock:
                    # TLS takes the descriptor over: what was accepted leads nowhere any more.
                    self.open.discard(sock)
                    self.open.add(spoken)
                with spoken, spoken.makefile("rb") as lines:
                    while self.one(spoken, lines, life):
                        pass
        finally:
            with self.lock:
                self.open -= {sock, spoken}
            sock.close()

    def one(self, sock: socket.socket, lines: BinaryIO, life: int) -> bool:
        """A request; false when the connection, or the life that it began in, is over."""
        first = lines.readline()
        if not first:
            return False
        fields: dict[bytes, bytes] = {}
        while (line := lines.readline()) not in {b"\r\n", b""}:
            name, _, value = line.partition(b":")
            fields[name.lower()] = value.strip()
        path = first.split(b" ")[1]
        id_ = fields.get(b"x-id", b"").decode()
        with self.lock:
            if life != self.life:
                return False
            self.total += 1
            self.requests[id_] += 1
        if path.startswith(b"/ws"):
            sock.sendall(SWITCH)
            while data := lines.read1(65536):  # type: ignore[attr-defined]
                sock.sendall(data)
            return False
        self.read_body(lines, int(fields.get(b"content-length", b"0")), id_)
        if self.delay_s:
            threading.Event().wait(random.uniform(0, self.delay_s))
        if path.startswith(b"/slow"):
            with self.lock:
                self.waiting += 1
            self.gate.wait(60)
        self.answer(sock, int(fields.get(b"x-give", b"0")), id_)
        return True

    def read_body(self, lines: BinaryIO, left: int, id_: str) -> None:
        if not left:
            return
        took, room = hashlib.sha256(), bytearray(1 << 18)
        while left:
            n = lines.readinto(memoryview(room)[: min(left, len(room))])  # type: ignore[attr-defined]
            if not n:
                raise ValueError("the body ended early")
            took.update(memoryview(room)[:n])
            left -= n
            self.received += n
        self.took[id_] = took.hexdigest()

    def answer(self, sock: socket.socket, give: int, id_: str) -> None:
        body = b"ok" + self.name
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (give or len(body)) + (b"" if give else body))
        gave = hashlib.sha256()
        # What a client can expect before the last byte of it has gone.
        for at in range(0, give, len(PIECE)):
            piece = memoryview(PIECE)[: min(len(PIECE), give - at)]
            gave.update(piece)
            if at + len(piece) == give:
                self.gave[id_] = gave.hexdigest()
            sock.sendall(piece)

"""Backends that fail in one way each, chosen by the path of the request: HTTP/1 as bytes, HTTP/2 as frames."""

from __future__ import annotations

import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import hpack

from tests.kit.raw import OK, head, rest
from tests.threats.frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    frame,
    literal,
)

HEAD = b"HTTP/1.1 200 OK\r\n"
Act = Callable[[socket.socket], None]


def reset(sock: socket.socket) -> None:
    """Closes with RST instead of FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def well(sock: socket.socket) -> None:
    """Ends as TLS demands it, with close_notify, where there is TLS; else with FIN."""
    if isinstance(sock, ssl.SSLSocket):
        sock.settimeout(5)
        try:
            sock.unwrap()
        except OSError:
            pass
    sock.close()


def cut(sock: socket.socket) -> None:
    """FIN alone: over TLS without close_notify."""
    sock.close()


def says(data: bytes, then: Act | None = None) -> Act:
    def act(sock: socket.socket) -> None:
        sock.sendall(data)
        if then:
            then(sock)

    return act


@dataclass
class Faulty:
    """The script of a backend. `asked` counts the requests of each path, `opened` the connections."""

    acts: dict[str, Act]
    asked: dict[str, int] = field(default_factory=dict)
    opened: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def script(self, sock: socket.socket, record: bytearray) -> None:
        with self.lock:
            self.opened += 1
        while (request := head(sock, record)) is not None:
            name = request.split(b" ")[1].decode("latin-1")
            with self.lock:
                self.asked[name] = self.asked.get(name, 0) + 1
            if length := re.search(rb"\r\ncontent-length: (\d+)\r\n", request, re.I):
                rest(sock, record, int(length[1]))
            act = self.acts.get(name.split("?")[0].strip("/"))
            if act is None:
                sock.sendall(OK if not request.startswith(b"HEAD") else OK[:-2])
                continue
            act(sock)
            if sock.fileno() < 0:
                return

    def count(self, name: str) -> int:
        with self.lock:
            return self.asked.get(name, 0)


def frames_in(sock: socket.socket, record: bytearray) -> Iterator[tuple[int, int, int, bytes]]:
    """Frames that a client sends, after its preface."""
    if rest(sock, record, len(PREFACE)) != PREFACE:
        return
    while True:
        front = rest(sock, record, 9)
        if len(front) < 9:
            return
        body = rest(sock, record, int.from_bytes(front[:3], "big"))
        yield front[3], front[4], int.from_bytes(front[5:9], "big") & 0x7FFFFFFF, body


def status(code: bytes, *more: tuple[bytes, bytes]) -> bytes:
    return literal(b":status", code) + b"".join(literal(n, v) for n, v in more)


def h2_head(stream: int, block: bytes, *, end: bool = False) -> bytes:
    return frame(HEADERS, block, flags=END_HEADERS | (END_STREAM if end else 0), stream=stream)


def h2_reset(stream: int, code: int) -> bytes:
    return frame(RST_STREAM, code.to_bytes(4, "big"), stream=stream)


def h2_goaway(last: int, code: int) -> bytes:
    return frame(GOAWAY, last.to_bytes(4, "big") + code.to_bytes(4, "big"))


def h2_data(stream: int, data: bytes, *, end: bool = False) -> bytes:
    return frame(DATA, data, flags=END_STREAM if end else 0, stream=stream)


ActH2 = Callable[[socket.socket, int], None]


@dataclass
class FaultyH2:
    """The same in HTTP/2: an act gets the stream that asked."""

    acts: dict[str, ActH2]
    asked: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def script(self, sock: socket.socket, record: bytearray) -> None:
        sock.sendall(frame(SETTINGS))
        decoder = hpack.Decoder()
        paths: dict[int, str] = {}
        for kind, flags, stream, body in frames_in(sock, record):
            if kind == SETTINGS and not flags & 1:
                sock.sendall(frame(SETTINGS, flags=1))
            if kind == HEADERS and stream not in paths:
                found = {as_str(n): as_str(v) for n, v in decoder.decode(body)}
                paths[stream] = found[":path"]
                with self.lock:
                    self.asked[paths[stream]] = self.asked.get(paths[stream], 0) + 1
            if kind in {HEADERS, DATA} and flags & END_STREAM:
                self.answer(sock, stream, paths[stream])
            if sock.fileno() < 0:
                return

    def answer(self, sock: socket.socket, stream: int, path: str) -> None:
        act = self.acts.get(path.strip("/"))
        if act:
            act(sock, stream)
        else:
            sock.sendall(h2_head(stream, status(b"200")) + h2_data(stream, b"ok", end=True))

    def count(self, name: str) -> int:
        with self.lock:
            return self.asked.get(name, 0)


def as_str(it: str | bytes) -> str:
    return it if isinstance(it, str) else it.decode("latin-1")

"""An HTTP/2 client below any library: frames as bytes, field lists as literals, so that what is forbidden can be sent."""

from __future__ import annotations

import contextlib
import ssl
import struct
from collections.abc import Iterable, Iterator

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS = 0x1, 0x1, 0x4


def frame(kind: int, body: bytes = b"", *, flags: int = 0, stream: int = 0) -> bytes:
    return struct.pack(">I", len(body))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + body


def literal(name: bytes, value: bytes) -> bytes:
    """A field without compression (RFC 7541 §6.2.2)."""

    def text(it: bytes) -> bytes:
        if len(it) < 127:
            return bytes([len(it)]) + it
        rest, out = len(it) - 127, b"\x7f"
        while rest >= 128:
            out += bytes([rest % 128 + 128])
            rest //= 128
        return out + bytes([rest]) + it

    return b"\x00" + text(name) + text(value)


def fields(host: str, *more: tuple[bytes, bytes], method: bytes = b"GET", path: bytes = b"/attack") -> bytes:
    pseudo = [(b":method", method), (b":scheme", b"https"), (b":authority", host.encode()), (b":path", path)]
    return b"".join(literal(n, v) for n, v in [*pseudo, *more])


def window(body: bytes) -> int | None:
    """Of each stream, if these settings name it."""
    pairs = [body[at : at + 6] for at in range(0, len(body), 6)]
    return next((int.from_bytes(it[2:], "big") for it in pairs if it[:2] == b"\0\4"), None)


class Client:
    """Reads frames as `(type, flags, stream, body)`; remembers statuses, resets and how the connection ended."""

    def __init__(self, sock: ssl.SSLSocket, settings: bytes = b"") -> None:
        self.sock = sock
        self.waiting = b""
        self.decoder = hpack.Decoder()
        self.statuses: dict[int, str] = {}
        self.bodies: dict[int, bytes] = {}
        self.ended: set[int] = set()
        self.resets: dict[int, int] = {}
        self.goaway: int | None = None
        self.closed = False
        self.send(PREFACE + frame(SETTINGS, settings))

    def send(self, data: bytes) -> bool:
        """False if the other side is gone."""
        try:
            self.sock.sendall(data)
        except OSError:
            self.closed = True
        return not self.closed

    def read(self) -> Iterator[tuple[int, int, int, bytes]]:
        """Frames until the connection ends or nothing comes."""
        while True:
            while len(self.waiting) >= 9 and len(self.waiting) >= 9 + int.from_bytes(self.waiting[:3], "big"):
                length = int.from_bytes(self.waiting[:3], "big")
                kind, flags = self.waiting[3], self.waiting[4]
                stream = int.from_bytes(self.waiting[5:9], "big") & 0x7FFFFFFF
                body, self.waiting = self.waiting[9 : 9 + length], self.waiting[9 + length :]
                self.note(kind, flags, stream, body)
                yield kind, flags, stream, body
            try:
                data = self.sock.recv(65536)
            except TimeoutError:
                return
            except OSError:
                data = b""
            if not data:
                self.closed = True
                return
            self.waiting += data

    def note(self, kind: int, flags: int, stream: int, body: bytes) -> None:
        if kind == HEADERS:
            for name, value in self.decoder.decode(body):
                if name in {":status", b":status"}:
                    self.statuses[stream] = str(value)
        elif kind == DATA:
            self.bodies[stream] = self.bodies.get(stream, b"") + body
        elif kind == RST_STREAM:
            self.resets[stream] = int.from_bytes(body, "big")
        elif kind == GOAWAY:
            self.goaway = int.from_bytes(body[4:8], "big")
        elif kind == SETTINGS and not flags & ACK:
            self.send(frame(SETTINGS, flags=ACK))
        if kind in {HEADERS, DATA} and flags & END_STREAM:
            self.ended.add(stream)

    def outcome(self, stream: int) -> str:
        """The status of `stream`, or `reset`, or `gone`."""
        if stream in self.statuses:
            return self.statuses[stream]
        for _ in self.read():
            if stream in self.statuses:
                return self.statuses[stream]
            if stream in self.resets:
                return "reset"
            if self.goaway:
                return "gone"
        return "gone"

    def whole(self, stream: int) -> str:
        """As `outcome`, once the stream has ended."""
        found = self.outcome(stream)
        if found.isdigit() and stream not in self.ended:
            for _ in self.read():
                if stream in self.ended or stream in self.resets:
                    break
        return found

    def ask(self, stream: int, block: bytes, *, end: bool = True) -> str:
        self.send(frame(HEADERS, block, flags=END_HEADERS | (END_STREAM if end else 0), stream=stream))
        return self.whole(stream)

    def flood(self, pieces: Iterable[bytes]) -> int:
        """Sends until the other side ends it, reading now and then; gives how many pieces it took."""
        count = 0
        self.sock.settimeout(0.001)
        for piece in pieces:
            if not self.send_through(piece):
                break
            count += 1
            if count % 256 == 0:
                for _ in self.read():
                    pass
                if self.closed or self.goaway:
                    break
        self.sock.settimeout(10)
        if not self.closed and not self.goaway:
            for _ in self.read():
                if self.goaway:
                    break
        return count

    def send_through(self, data: bytes) -> bool:
        self.sock.settimeout(10)
        fine = self.send(data)
        with contextlib.suppress(OSError):
            self.sock.settimeout(0.001)
        return fine

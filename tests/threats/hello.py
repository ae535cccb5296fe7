"""ClientHellos built from OpenSSL's own, with any extension in any order, cut into any records."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass, field

from tests.kit import hello_bytes
from tests.threats.ground import Ground

SERVER_NAME, ALPN, ECH = 0, 16, 0xFE0D
PADDING = 0x1234
"""Of a type that nobody knows: OpenSSL's own hello may have the real one, and none may be there twice."""
HANDSHAKE, ALERT, CCS = 22, 21, 20
UNRECOGNIZED_NAME, DECODE_ERROR, PROTOCOL_VERSION = 112, 50, 70


def u16(n: int) -> bytes:
    return struct.pack(">H", n)


def sni(*names: bytes, kind: int = 0) -> bytes:
    listed = b"".join(bytes([kind]) + u16(len(n)) + n for n in names)
    return u16(len(listed)) + listed


@dataclass
class Hello:
    """`front` is everything before the extensions."""

    front: bytes
    extensions: list[tuple[int, bytes]] = field(default_factory=list)

    @classmethod
    def like_openssl(cls) -> Hello:
        body = hello_bytes(None)[9:]
        at = 34
        at += 1 + body[at]
        at += 2 + int.from_bytes(body[at : at + 2], "big")
        at += 1 + body[at]
        front, rest = body[:at], body[at + 2 :]
        extensions = []
        while rest:
            kind, length = struct.unpack(">HH", rest[:4])
            extensions.append((kind, rest[4 : 4 + length]))
            rest = rest[4 + length :]
        return cls(front, extensions)

    def message(self, *first: tuple[int, bytes]) -> bytes:
        """The handshake message with `first` before the other extensions."""
        listed = b"".join(u16(k) + u16(len(v)) + v for k, v in [*first, *self.extensions])
        body = self.front + u16(len(listed)) + listed
        return b"\x01" + struct.pack(">I", len(body))[1:] + body


def record(data: bytes, kind: int = HANDSHAKE) -> bytes:
    return bytes([kind, 3, 1]) + u16(len(data)) + data


def hello(*first: tuple[int, bytes]) -> bytes:
    return record(Hello.like_openssl().message(*first))


def named(name: bytes) -> bytes:
    return hello((SERVER_NAME, sni(name)))


def answer(ground: Ground, *pieces: bytes, end: bool = False) -> tuple[str, int]:
    """`("hello", 0)` for a ServerHello, `("alert", description)`, `("http", status)` or `("closed", 0)`."""
    with socket.create_connection(("127.0.0.1", ground.edge.port), 10) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        got = b""
        try:
            for piece in pieces:
                sock.sendall(piece)
            if end:
                sock.shutdown(socket.SHUT_WR)
            while len(got) < 12:
                data = sock.recv(4096)
                if not data:
                    break
                got += data
        except ConnectionError:
            pass
        if got[:1] == bytes([HANDSHAKE]) and got[5:6] == b"\x02":
            return "hello", 0
        if got[:1] == bytes([ALERT]) and len(got) >= 7:
            return "alert", got[6]
        if got.startswith(b"HTTP/1.1 "):
            return "http", int(got[9:12])
        return "closed", 0

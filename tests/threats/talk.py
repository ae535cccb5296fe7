"""One way to ask over either protocol, and to read what arrived: so that a row is run in both by the same lines."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

from tests.kit import Pki
from tests.kit.clients import opened
from tests.threats.frames import DATA, END_HEADERS, END_STREAM, HEADERS, WINDOW_UPDATE, Client, fields, frame
from tests.threats.ground import response

Pair = tuple[bytes, bytes]
PROTOCOLS = ("http/1.1", "h2")


def dial(
    port: int, pki: Pki, name: str, *, alpn: list[str] | None = None, source: str = "127.0.0.1", first: bytes = b""
) -> ssl.SSLSocket:
    """A verified TLS connection from an address of our choice; `first` goes before the hello."""
    context = ssl.create_default_context(cafile=str(pki.public.file))
    if alpn:
        context.set_alpn_protocols(alpn)
    raw = socket.create_connection(("127.0.0.1", port), 20, source_address=(source, 0))
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        if first:
            raw.sendall(first)
        sock = opened(context.wrap_socket(raw, server_hostname=name))
    except OSError:
        raw.close()
        raise
    sock.settimeout(20)
    return sock


class Noting(Client):
    """Also keeps the fields of answers, trailers last."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self.fields: dict[int, list[tuple[str, str]]] = {}
        super().__init__(sock)

    def note(self, kind: int, flags: int, stream: int, body: bytes) -> None:
        if kind == DATA and body:
            # Thousands of answers pass one connection: its window must open again.
            self.send(frame(WINDOW_UPDATE, len(body).to_bytes(4, "big")))
        if kind != HEADERS:
            return super().note(kind, flags, stream, body)
        for name, value in self.decoder.decode(body):
            text = (as_text(name), as_text(value))
            self.fields.setdefault(stream, []).append(text)
            if text[0] == ":status" and not text[1].startswith("1"):
                self.statuses[stream] = text[1]
        if flags & END_STREAM:
            self.ended.add(stream)
        return None


def as_text(it: str | bytes) -> str:
    return it if isinstance(it, str) else it.decode("latin-1")


@dataclass
class Told:
    """What the client saw. Status 0: the connection closed or the stream was reset before any. `whole`: it ended well."""

    status: int
    body: bytes
    fields: dict[str, str]
    whole: bool


class Talk:
    """Requests to one host over one protocol, on one connection for as long as it lasts."""

    def __init__(self, port: int, pki: Pki, host: str, protocol: str, source: str = "127.0.0.1") -> None:
        self.port, self.pki, self.host, self.protocol, self.source = port, pki, host, protocol, source
        self.sock: ssl.SSLSocket | None = None
        self.h2: Noting | None = None
        self.stream = 1
        self.opened = 0

    def open(self) -> ssl.SSLSocket:
        if self.sock is None:
            self.sock = dial(self.port, self.pki, self.host, alpn=[self.protocol], source=self.source)
            self.h2 = Noting(self.sock) if self.protocol == "h2" else None
            self.stream = 1
            self.opened += 1
        return self.sock

    def ask(
        self,
        path: bytes = b"/attack",
        *more: Pair,
        method: bytes = b"GET",
        body: bytes | None = None,
        authority: bytes | None = None,
    ) -> Told:
        """One request; over HTTP/1 the fields are sent as they are spelt, over HTTP/2 in lower case, as it demands."""
        self.open()
        length = [(b"Content-Length", b"%d" % len(body))] if body is not None else []
        given = [*more, *length]
        host = authority or self.host.encode()
        return (
            self.over_h2(path, given, method, body, host) if self.h2 else self.over_h1(path, given, method, body, host)
        )

    def over_h1(self, path: bytes, given: list[Pair], method: bytes, body: bytes | None, host: bytes) -> Told:
        assert self.sock is not None
        lines = b"".join(b"%s: %s\r\n" % pair for pair in given)
        try:
            self.sock.sendall(b"%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n%s" % (method, path, host, lines, body or b""))
        except OSError:
            pass  # it may have been closed by the answer to the request before
        told = read_h1(self.sock, method.decode())
        if not told.whole or told.status == 400 or told.fields.get("connection") == "close":
            self.close()
        return told

    def over_h2(self, path: bytes, given: list[Pair], method: bytes, body: bytes | None, host: bytes) -> Told:
        it, stream = self.h2, self.stream
        assert it is not None
        self.stream += 2
        block = fields(host.decode(), *((n.lower(), v) for n, v in given), method=method, path=path)
        it.send(frame(HEADERS, block, flags=END_HEADERS | (0 if body else END_STREAM), stream=stream))
        if body:
            it.send(frame(DATA, body, flags=END_STREAM, stream=stream))
        status = it.whole(stream)
        told = Told(
            int(status) if status.isdigit() else 0,
            it.bodies.get(stream, b""),
            dict(it.fields.get(stream, [])),
            stream in it.ended and stream not in it.resets,
        )
        if it.closed or it.goaway is not None:
            self.close()
        return told

    def close(self) -> None:
        if self.sock is not None:
            self.sock.close()
        self.sock = self.h2 = None

    def __enter__(self) -> Talk:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_h1(sock: socket.socket, method: str = "GET") -> Told:
    """One answer; a body that ends before its framing says so is not whole."""
    import h11

    try:
        status, body, found = response(sock, method)
    except h11.RemoteProtocolError:
        return Told(0, b"", {}, whole=False)
    return Told(status, body, found, whole=status != 0)


@dataclass
class Arrival:
    """A request as the upstream's bytes have it."""

    method: str
    target: str
    fields: list[tuple[str, str]]

    def all(self, name: str) -> list[str]:
        return [v for n, v in self.fields if n.lower() == name]

    def one(self, name: str) -> str:
        found = self.all(name)
        assert len(found) == 1, (name, found)
        return found[0]


def arrivals(seen: list[bytes]) -> Iterator[Arrival]:
    """Requests without a body, one after the other."""
    for data in seen:
        *heads, rest = data.split(b"\r\n\r\n")
        assert rest == b"", rest
        for text in heads:
            first, *lines = text.decode("latin-1").split("\r\n")
            method, target, version = first.split(" ")
            assert version == "HTTP/1.1", first
            pairs = [line.partition(": ") for line in lines]
            yield Arrival(method, target, [(n, v) for n, _, v in pairs])

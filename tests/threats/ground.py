"""One edge with every pattern on one port, and a recording upstream behind each: where attacks are judged."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field

import h11
import httptools

from tests.kit import EdgeKit, Pki, Raw, tls
from tests.kit.edge import EVERY_PATTERN
from tests.kit.raw import OK, head, rest
from tests.kit.settle import settle, watching

ROUTES = (
    EVERY_PATTERN
    + """
[[site]]
name = "private"
hosts = ["m.test"]
certs = [{{ chain = "{{pki}}/private.pem", key = "file:{{pki}}/private.key" }}]
clients = {{ ca = "{{pki}}/public-ca.pem" }}
[[route]]
name = "private"
host = "m.test"
tls = "plaintext"
to = ["127.0.0.1:{private}"]
[[route]]
name = "admin"
host = "a.test"
path = "/adm"
tls = "plaintext"
to = ["127.0.0.1:{private}"]
"""
)

HOSTS = {"plaintext": "a.test", "reencrypt": "b.test", "mutual": "c.test"}
TERMINATING = tuple(HOSTS)


def serving(sock: socket.socket, record: bytearray) -> None:
    """Answers each complete request, framed by its Content-Length or chunks; strictly, so that nothing odd is a request."""
    while (request := head(sock, record)) is not None:
        length = re.search(rb"\r\ncontent-length: (\d+)\r\n", request, re.I)
        if length:
            rest(sock, record, int(length[1]))
        elif re.search(rb"\r\ntransfer-encoding: chunked\r\n", request, re.I):
            line = b""
            while line != b"0\r\n":
                line = b""
                while not line.endswith(b"\r\n"):
                    more = rest(sock, record, 1)
                    if not more:
                        return
                    line += more
                rest(sock, record, int(line, 16) + 2 if line != b"0\r\n" else 0)
            while (line := until_crlf(sock, record)) not in {b"\r\n", b""}:
                pass
        sock.sendall(OK if not request.startswith(b"HEAD") else b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")


def until_crlf(sock: socket.socket, record: bytearray) -> bytes:
    line = b""
    while not line.endswith(b"\r\n"):
        more = rest(sock, record, 1)
        if not more:
            return b""
        line += more
    return line


@dataclass
class Ground:
    """`edge` and its upstreams by the name of their route."""

    edge: EdgeKit
    pki: Pki
    upstreams: dict[str, Raw] = field(default_factory=dict)

    @classmethod
    def open(cls, pki: Pki) -> Ground:
        pki.public.leaf("private", "m.test")
        plain = {name: Raw(serving) for name in ("plaintext", "private")}
        upstreams = {
            **plain,
            "reencrypt": Raw(serving, pki.backend),
            "mutual": Raw(serving, pki.backend, clients=pki.internal.file),
            "passthrough": Raw(serving, pki.pass_leaf),
        }
        more = ROUTES.format(**{name: it.port for name, it in upstreams.items()})
        listener = 'trusted_proxies = ["127.0.0.9/32"]'
        return cls(EdgeKit(pki, more, listener=listener, threads=2), pki, upstreams)

    def close(self) -> None:
        self.edge.close()
        for it in self.upstreams.values():
            it.close()

    @property
    def received(self) -> bytes:
        """Everything at every upstream, once nothing is on its way any more."""
        settle(self.edge, *self.upstreams.values())
        return b"".join(it.received for it in self.upstreams.values())

    def connect(self, pattern: str = "plaintext", alpn: list[str] | None = None, **more: object) -> ssl.SSLSocket:
        host = HOSTS.get(pattern, pattern)
        sock = tls(self.edge.port, host, self.pki.public.file, alpn=alpn, **more)  # type: ignore[arg-type]
        sock.settimeout(20)
        return sock

    def clean(self, pattern: str = "plaintext", sock: ssl.SSLSocket | None = None) -> None:
        """A request that is in order is served: on `sock`, or on a new connection."""
        with contextlib.nullcontext(sock) if sock else self.connect(pattern) as it:
            it.sendall(b"GET /clean HTTP/1.1\r\nHost: %s\r\n\r\n" % HOSTS[pattern].encode())
            status, body, _ = response(it)
            assert (status, body) == (200, b"ok")


def response(sock: socket.socket, method: str = "GET") -> tuple[int, bytes, dict[str, str]]:
    """Status, body and fields of the next final response; status 0 where the connection ended without one."""
    it = h11.Connection(h11.CLIENT)
    it.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
    it.send(h11.EndOfMessage())
    status, body, fields = 0, b"", {}
    while True:
        event = it.next_event()
        if event is h11.NEED_DATA:
            try:
                data = sock.recv(65536)
            except OSError:
                data = b""
            if not data and not status:
                return 0, b"", {}
            it.receive_data(data)
        elif isinstance(event, h11.Response):
            status = event.status_code
            fields = {k.decode(): v.decode() for k, v in event.headers}
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, (h11.EndOfMessage, h11.ConnectionClosed)) or event is h11.PAUSED:
            return status, body, fields


def is_open(sock: ssl.SSLSocket, fields: dict[str, str]) -> bool:
    """Whether the connection goes on behind an answer, which says so (RFC 9112 §9.6). The end that it announces comes."""
    if fields.get("connection", "").lower() != "close":
        return True
    with contextlib.suppress(ConnectionResetError, ssl.SSLError):
        while sock.recv(65536):
            pass
    return False


Seen = tuple[bytes, bytes, bytes]
"""Method, target and body of a request."""


def by_h11(data: bytes) -> list[Seen]:
    """The requests in `data` as h11 reads them; raises where it refuses."""
    found: list[Seen] = []
    while data:
        it = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        it.receive_data(data)
        request, body = None, b""
        while True:
            event = it.next_event()
            if event in (h11.NEED_DATA, h11.PAUSED):
                # The rest of one that is not complete is no request of its own.
                return found
            if isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                assert request is not None
                found.append((request.method, request.target, body))
                break
        left = it.trailing_data[0]
        if len(left) == len(data):
            break
        data = left
    return found


def by_httptools(data: bytes) -> list[Seen]:
    """The same by llhttp, the parser of Node, which knows a fixed list of methods; a method of none of them reads as h11's."""
    found: list[Seen] = []

    class Handler:
        target, body = b"", b""

        def on_message_begin(self) -> None:
            self.target, self.body = b"", b""

        def on_url(self, url: bytes) -> None:
            self.target += url

        def on_body(self, body: bytes) -> None:
            self.body += body

        def on_message_complete(self) -> None:
            found.append((parser.get_method(), self.target, self.body))

    handler = Handler()
    parser = httptools.HttpRequestParser(handler)
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserInvalidMethodError:
        return by_h11(data)
    return found


def requests_in(seen: list[bytes]) -> list[Seen]:
    """The requests of all connections, each read by itself: what two of them left undone makes no request together."""
    return [request for data in seen for request in by_h11(data)]


@contextlib.contextmanager
def watched(ground: Ground, name: str) -> Iterator[list[bytes]]:
    """What reached the upstream of a route meanwhile, each connection's by itself; filled at the end."""
    with watching(ground.edge, ground.upstreams[name]) as found:
        yield found

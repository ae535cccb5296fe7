"""Stands between a keeper and an authority, hands on what both say, and says something else where a test wants it."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.kit import Pki

HOP = ("connection", "content-length", "transfer-encoding", "keep-alive", "date", "server")


@dataclass
class Said:
    """An answer, as it came or as it is to be."""

    status: int = 200
    fields: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    length: int | None = None
    """Announced instead of the body's own; what is missing never comes."""
    drip: bool = False
    """A byte now and then, and no end."""
    silent: bool = False
    unbounded: bool = False
    """It ends with its connection, and does not say where."""


Twist = Callable[[str, str, Said], Said]


def as_it_came(method: str, path: str, said: Said) -> Said:
    return said


class Between:
    """Verified as Pebble is. `twist` gets method, path and the authority's answer; `asked` has all that was asked."""

    def __init__(self, pki: Pki, port: int | None, twist: Twist = as_it_came) -> None:
        self.ahead, self.twist, self.asked = port, twist, list[tuple[str, str]]()
        self.ending = threading.Event()
        outer = self

        class Handing(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(length)
                outer.asked.append((self.command, self.path))
                said = Said()
                if outer.ahead is not None:
                    said = handed(outer.ahead, self.command, self.path, dict(self.headers.items()), body)
                self.answer(outer.twist(self.command, self.path, said))

            do_POST = do_GET
            do_HEAD = do_GET

            def answer(self, said: Said) -> None:
                if said.silent:
                    outer.ending.wait(60)
                    self.close_connection = True
                    return
                if said.drip:
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
                    with contextlib.suppress(OSError):
                        while not outer.ending.wait(0.05):
                            self.wfile.write(b"x")
                    self.close_connection = True
                    return
                self.send_response(said.status)
                for name, value in said.fields.items():
                    self.send_header(name, value)
                self.close_connection = said.unbounded
                if not said.unbounded:
                    self.send_header("Content-Length", str(len(said.body) if said.length is None else said.length))
                self.end_headers()
                if self.command != "HEAD":
                    with contextlib.suppress(OSError):
                        self.wfile.write(said.body)
                if said.length is not None:
                    outer.ending.wait(60)

            def log_message(self, *_: object) -> None: ...

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None: ...

        self.server = Server(("127.0.0.1", 0), Handing)
        self.port: int = self.server.server_address[1]
        leaf = pki.public.leaf(f"between-{self.port}", "127.0.0.1")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(leaf.chain, leaf.key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}/dir"

    def posts(self, path: str) -> int:
        return sum(method == "POST" and at.startswith(path) for method, at in self.asked)

    def close(self) -> None:
        self.ending.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)


def handed(port: int, method: str, path: str, fields: dict[str, str], body: bytes) -> Said:
    """What the authority answers; it writes the URLs in it by the `Host` that it was asked by."""
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=unverified)
    with contextlib.closing(connection):
        connection.request(method, path, body or None, {k: v for k, v in fields.items() if k.lower() not in HOP})
        answer = connection.getresponse()
        kept = {k: v for k, v in answer.getheaders() if k.lower() not in HOP}
        return Said(answer.status, kept, answer.read())

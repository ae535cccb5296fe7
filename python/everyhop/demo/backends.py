"""Real backends: HTTP over nothing, over TLS, or over TLS that demands to know who calls. Each tells what it sees."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from everyhop.demo.certificates import Leaf


class Backend:
    """An HTTP/1.1 server on a free loopback port that answers with what it saw. `seen` collects requests' fields."""

    def __init__(
        self,
        name: str,
        leaf: Leaf | None = None,
        *,
        clients: Path | None = None,
        demands: bool = False,
        port: int = 0,
        answer: Callable[[BaseHTTPRequestHandler, str], None] | None = None,
    ) -> None:
        self.name, self.answer = name, answer
        self.seen: list[dict[str, str]] = []
        self.context: ssl.SSLContext | None = None
        if leaf is not None:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(leaf.chain, leaf.key)
            if clients is not None:
                self.context.load_verify_locations(clients)
                self.context.verify_mode = ssl.CERT_REQUIRED if demands else ssl.CERT_OPTIONAL
        self.listener = socket.create_server(("127.0.0.1", port), backlog=128)
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            try:
                sock, peer = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(sock, peer), daemon=True).start()

    def serve(self, sock: socket.socket, peer: tuple[str, int]) -> None:
        backend = self
        with contextlib.suppress(OSError), sock:
            sock.settimeout(30)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            spoken = self.context.wrap_socket(sock, server_side=True) if self.context else sock

            class Handler(BaseHTTPRequestHandler):
                protocol_version = "HTTP/1.1"

                def log_message(self, format: str, *args: object) -> None:
                    """Says nothing: the edge's log is the record."""

                def handle_any(self) -> None:
                    backend.seen.append(
                        {k.lower(): v for k, v in self.headers.items()} | {":path": self.path, ":method": self.command}
                    )
                    caller = caller_of(spoken)
                    if backend.answer is not None:
                        backend.answer(self, caller)
                    else:
                        backend.tell(self, caller)

                do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = do_OPTIONS = do_PATCH = handle_any

            with spoken:
                Handler(spoken, peer, self)  # type: ignore[arg-type]

    def tell(self, request: BaseHTTPRequestHandler, caller: str) -> None:
        length = int(request.headers.get("content-length", 0))
        body = request.rfile.read(length) if length else b""
        lines = [
            f"backend: {self.name}",
            f"request: {request.command} {request.path}",
            f"body: {len(body)} bytes",
            f"caller proved to be: {caller}",
            f"x-forwarded-for says: {request.headers.get('x-forwarded-for', '(nothing)')}",
        ]
        text = ("\n".join(lines) + "\n").encode()
        request.send_response(200)
        request.send_header("content-type", "text/plain")
        request.send_header("content-length", str(len(text)))
        request.send_header("set-cookie", "session=answer-of-the-backend")
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(text)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            # Closing alone wakes nobody who waits for it, and one more client would be taken.
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def caller_of(sock: socket.socket) -> str:
    """Whom the caller's certificate names."""
    if not isinstance(sock, ssl.SSLSocket):
        return "nobody (no TLS here)"
    cert: Any = sock.getpeercert()
    if not cert:
        return "nobody (no certificate)"
    names = [value for kind, value in cert.get("subjectAltName", ()) if kind in {"DNS", "URI"}]
    return ", ".join(str(n) for n in names) or "someone"

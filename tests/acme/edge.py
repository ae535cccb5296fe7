"""What stands for an edge: a server of HTTP and one of TLS that answer challenges which a keeper publishes, and a clock that is set."""

from __future__ import annotations

import contextlib
import datetime as dt
import http.server
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

from everyhop.acme import Keeper, Status
from everyhop.acme.tls_alpn import PROTOCOL, challenge_pair


class Clock:
    """The real one, moved by whoever holds it."""

    def __init__(self) -> None:
        self.ahead = dt.timedelta(0)

    def __call__(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC) + self.ahead

    def wait(self, seconds: float) -> None:
        self.ahead += dt.timedelta(seconds=seconds)

    def go_to(self, moment: dt.datetime) -> None:
        self.ahead += max(moment - self(), dt.timedelta(0))


class Edge:
    """Answers `http-01` and `tls-alpn-01` for what is published and for nothing else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kinds: tuple[str, ...] = ("tls-alpn-01", "http-01")
        self.tokens: dict[str, str] = {}
        self.contexts: dict[str, ssl.SSLContext] = {}
        self.ever: list[tuple[str, str]] = []
        self.broken: dict[str, str] = {}
        told = self.tokens

        class Answering(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer = told.get(self.path.removeprefix("/.well-known/acme-challenge/"))
                self.send_response(200 if answer else 404)
                self.end_headers()
                self.wfile.write((answer or "").encode())

            def log_message(self, *_: object) -> None: ...

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self.http.daemon_threads = True
        self.tls = socket.create_server(("127.0.0.1", 0))
        self.http_port: int = self.http.server_address[1]
        self.tls_port: int = self.tls.getsockname()[1]
        self.threads = [threading.Thread(target=self.http.serve_forever), threading.Thread(target=self.serve_tls)]
        for it in self.threads:
            it.start()

    def serve_tls(self) -> None:
        plain = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        plain.set_alpn_protocols([PROTOCOL])

        def by_name(sock: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
            if (found := self.contexts.get(name or "")) is None:
                return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
            sock.context = found
            return None

        plain.sni_callback = by_name
        while True:
            try:
                sock, _ = self.tls.accept()
            except OSError:
                return
            sock.settimeout(10)
            with contextlib.suppress(OSError), plain.wrap_socket(sock, server_side=True) as it:
                it.recv(1)
            sock.close()

    def publish(self, kind: str, name: str, token: str, key_authorization: str) -> float:
        if kind in self.broken:
            raise OSError(self.broken[kind])
        self.ever.append((kind, name))
        if kind == "http-01":
            self.tokens[token] = key_authorization
        else:
            chain, key = challenge_pair(name, key_authorization, dt.datetime.now(dt.UTC))
            path = self.folder / f"{token}.pem"
            path.write_bytes(key + chain)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(path)
            context.set_alpn_protocols([PROTOCOL])
            self.contexts[name] = context
        return 0.0

    def withdraw(self, kind: str, name: str, token: str, key_authorization: str) -> None:
        self.tokens.pop(token, None)
        if kind == "tls-alpn-01":
            self.contexts.pop(name, None)

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        with contextlib.suppress(OSError):
            self.tls.shutdown(socket.SHUT_RDWR)
        self.tls.close()
        for it in self.threads:
            it.join(10)


def drive(keeper: Keeper, clock: Clock, done: Callable[[], bool], steps: int = 3000) -> list[str]:
    """Steps until it is done, waiting as long as it was told to, on the clock of the test. The sites that were changed."""
    changed: list[str] = []
    for _ in range(steps):
        it = keeper.step()
        changed += it.changed
        if done():
            return changed
        clock.wait(it.wait_s + 0.001)
    raise AssertionError(f"not within {steps} steps: {keeper.status()}")


def settled(keeper: Keeper) -> bool:
    """All certificates are there."""
    return bool(keeper.status()) and all(it.until is not None and not it.pending for it in keeper.status())


def only(keeper: Keeper) -> Status:
    (it,) = keeper.status()
    return it

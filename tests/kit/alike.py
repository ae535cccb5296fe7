"""Envoy and the edge before one backend, asking one authorizer, so that a test can send both the same request and tell what differs.
Read next: `envoy.py`, `ext_authz.py`."""

from __future__ import annotations

import contextlib
import socket
import ssl
from dataclasses import asdict, dataclass
from http.client import HTTPResponse
from typing import Any

import grpc
import h2.config
import h2.connection
import h2.events

from tests.kit.authorizer import route
from tests.kit.clients import tls
from tests.kit.edge import EdgeKit, Pki
from tests.kit.envoy import Envoy
from tests.kit.ext_authz import OK, Authorizer
from tests.kit.raw import Raw, Record, whole

SENDS = ["cookie", "authorization", "x-a"]
TAKES = ["x-user", "x-role"]
DEADLINE_MS = 30_000
Pairs = list[tuple[str, str]]


@dataclass(frozen=True)
class Ask:
    method: str = "GET"
    path: str = "/"
    fields: tuple[tuple[str, str], ...] = ()
    host: str = "a.test"
    speaks: str = "http/1.1"
    body: bytes = b""
    leaf: str = ""


def serves(sock: socket.socket, record: Record) -> None:
    while (got := whole(sock, record)) is not None:
        body = "" if got.startswith(b"HEAD ") else "ok"
        sock.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{body}".encode())


class Both:
    """Each of the two, the one that both ask, and the one that both forward to."""

    def __init__(self, pki: Pki, opened: contextlib.ExitStack) -> None:
        self.pki, self.asked, self.raw = pki, Authorizer(), Raw(serves)
        opened.callback(self.asked.close)
        opened.callback(self.raw.close)
        block = (
            f'[[authorizer]]\nname = "sso"\nspeaks = "envoy"\nto = ["127.0.0.1:{self.asked.port}"]\ntls = "plaintext"\n'
            f"sends = {SENDS}\ntakes = {TAKES}\ndeadline_ms = {DEADLINE_MS}\n"
        )
        site = 'clients = { ca = "{pki}/public-ca.pem", mode = "ask" }'
        self.edge = EdgeKit(pki, block + route(self.raw.port), site=site)
        opened.callback(self.edge.close)
        self.envoy = Envoy(pki, self.asked.port, self.raw.port, SENDS, DEADLINE_MS)
        opened.callback(self.envoy.close)

    def told(self, port: int, ask: Ask) -> dict[str, Any]:
        """What is asked about a request, and what becomes of it."""
        out = self.comes(port, ask, OK)
        if not self.asked.checks:
            return {"asked": False, "status": out["status"]}
        (check,) = self.asked.checks
        assert check.left_s is not None and 0 < check.left_s <= DEADLINE_MS / 1000
        told = asdict(check)
        assert told.pop("id")
        for apart in ("left_s", "metadata", "destination", "other"):
            del told[apart]
        told["source"]["port"] = told["source"]["port"] == out["from"]
        return {"asked": True, **told, "status": out["status"], "target": out["target"]}

    def comes(self, port: int, ask: Ask, says: bytes | grpc.StatusCode) -> dict[str, Any]:
        """What client and backend get."""
        self.asked.says, self.asked.checks = (lambda _: says), []
        mark = self.raw.mark()
        leaf = getattr(self.pki, ask.leaf) if ask.leaf else None
        with tls(port, "a.test", self.pki.public.file, alpn=[ask.speaks], leaf=leaf) as sock:
            status, fields, body = (by_h2 if ask.speaks == "h2" else by_h1)(sock, ask)
            own = sock.getsockname()[1]
        line, *lines = b"".join(self.raw.since(mark)).decode("latin-1").split("\r\n\r\n")[0].split("\r\n")
        got = sorted(x for x in (one.partition(": ")[::2] for one in lines) if x[0].lower() in GOT)
        told = sorted((name.lower(), value) for name, value in fields if name.lower() not in OWN)
        target = line.removesuffix(" HTTP/1.1")
        passes = {"target": target, "got": [(name.lower(), value) for name, value in got]}
        # What either says of its own accord where it lets nobody pass is no matter of the authorizer's.
        answer = {} if status in (500, 503) else {"told": told, "body": body}
        return {"from": own, "status": status, **passes, **answer}


GOT = ("host", "x-user", "x-role", "x-other", "authorization")
OWN = (
    "date",
    "server",
    "content-length",
    "x-envoy-upstream-service-time",
    "cache-control",
    "x-request-id",
    "connection",
)


def by_h1(sock: ssl.SSLSocket, ask: Ask) -> tuple[int, Pairs, bytes]:
    more = [("Content-Length", str(len(ask.body)))] if ask.body else []
    fields = "".join(f"{name}: {value}\r\n" for name, value in (("Host", ask.host), *ask.fields, *more))
    sock.sendall(f"{ask.method} {ask.path} HTTP/1.1\r\n{fields}\r\n".encode() + ask.body)
    answer = HTTPResponse(sock, method=ask.method)
    answer.begin()
    return answer.status, answer.getheaders(), answer.read()


def by_h2(sock: ssl.SSLSocket, ask: Ask) -> tuple[int, Pairs, bytes]:
    config = h2.config.H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False)
    it = h2.connection.H2Connection(config)
    it.initiate_connection()
    pseudo = [(":method", ask.method), (":path", ask.path), (":scheme", "https"), (":authority", ask.host)]
    it.send_headers(1, [*pseudo, *((name.lower(), value) for name, value in ask.fields)], end_stream=not ask.body)
    if ask.body:
        it.send_data(1, ask.body, end_stream=True)
    pairs: Pairs = []
    body = b""
    while True:
        sock.sendall(it.data_to_send())
        data = sock.recv(65536)
        assert data, "gone"
        for event in it.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                pairs = [(name.decode(), value.decode()) for name, value in event.headers]
            elif isinstance(event, h2.events.DataReceived):
                body += event.data
            elif isinstance(event, h2.events.StreamEnded):
                return int(dict(pairs)[":status"]), [it for it in pairs if it[0] != ":status"], body
            else:
                assert not isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated)


Differs = dict[str, tuple[Any, Any]]
"""What Envoy says or does, and what the edge does."""


def between(envoy: dict[str, Any], edge: dict[str, Any]) -> Differs:
    return {
        name: (envoy.get(name), edge.get(name))
        for name in {**envoy, **edge}
        if name != "from" and envoy.get(name) != edge.get(name)
    }

"""Clients that send exactly what they are told to."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import TypeVar

from everyhop.demo.certificates import Leaf

S = TypeVar("S", bound=socket.socket)


OPENED: list[socket.socket] = []
"""What tests opened, so that each is closed when its test ends, wherever that is: `tests/conftest.py`."""


def opened(sock: S) -> S:
    """Closed at the end of the test, at the latest."""
    OPENED.append(sock)
    return sock


def tls(
    port: int,
    name: str | None,
    ca: Path,
    *,
    alpn: list[str] | None = None,
    leaf: Leaf | None = None,
    highest: ssl.TLSVersion | None = None,
    host: str = "127.0.0.1",
    kept: bool = True,
) -> ssl.SSLSocket:
    """A verified TLS connection; without a name, no SNI is sent and no name is checked."""
    context = ssl.create_default_context(cafile=str(ca))
    if name is None:
        context.check_hostname = False
    if alpn:
        context.set_alpn_protocols(alpn)
    if leaf:
        context.load_cert_chain(leaf.chain, leaf.key)
    if highest:
        context.maximum_version = highest
    raw = socket.create_connection((host, port), 20)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        sock = context.wrap_socket(raw, server_hostname=name)
        return opened(sock) if kept else sock
    except OSError:
        raw.close()
        raise


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def read_answer(sock: socket.socket, method: str = "GET") -> Answer:
    """One response. Raises what the standard library raises at a truncated one."""
    response = HTTPResponse(sock, method=method)
    response.begin()
    body = response.read()
    headers = {k.lower(): v for k, v in response.getheaders()}
    response.close()
    return Answer(response.status, headers, body)


def exchange(sock: socket.socket, request: str | bytes, method: str = "GET") -> Answer:
    sock.sendall(request.encode() if isinstance(request, str) else request)
    return read_answer(sock, method)


def hello_bytes(name: str | None, alpn: list[str] | None = None) -> bytes:
    """A ClientHello as OpenSSL writes it."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(alpn)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    it = context.wrap_bio(incoming, outgoing, server_hostname=name)
    try:
        it.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()

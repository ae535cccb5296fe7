"""A check may want a word in the body of the answer: who answers 200 with "maintenance" is not well. It is read as it comes, to a bound."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.h2_backend import Asked, H2Backend, Spoken
from tests.kit.raw import Record, head

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
WANTED = '"status":"up"'
HEALTH = 'health = { path = "/healthz", body = \'"status":"up"\', every_s = 1, timeout_s = 5, down_after = 1 }'
"""A busy machine may take seconds for an answer that is well."""
PIECES = (b'{"db":{"status":"down"},"status":', b'"u', b'p"}')
READ = 16 * 1024


@dataclass
class Says:
    """What a check is answered; anything else gets `ok`."""

    pieces: tuple[bytes, ...] = PIECES
    ends: bool = True
    checks: int = 0
    connections: list[int] = field(default_factory=list)
    """Over which connection each was asked."""

    def over_h1(self, sock: socket.socket, record: Record) -> None:
        while asked := head(sock, record):
            if not asked.startswith(b"GET /healthz"):
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                continue
            self.checks += 1
            self.connections.append(id(record))
            sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for piece in self.pieces:
                sock.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            if not self.ends:
                sock.recv(1)  # Nothing comes; the check ends it.
                return
            sock.sendall(b"0\r\n\r\n")

    def over_h2(self, spoken: Spoken, asked: Asked, event: object) -> None:
        if not asked.ended:
            return
        if asked.fields[b":path"] != b"/healthz":
            spoken.answer(asked.stream)
            return
        self.checks += 1
        self.connections.append(spoken.number)
        spoken.h2.send_headers(asked.stream, [(b":status", b"200")])
        for at, piece in enumerate(self.pieces):
            spoken.h2.send_data(asked.stream, piece, end_stream=self.ends and at == len(self.pieces) - 1)


def begun(edge: Edges, pki: Pki, raw: Raws, says: Says, speaks: str) -> EdgeKit:
    script: Any = says.over_h1 if speaks == "http/1.1" else H2Backend(says.over_h2)
    port = raw(script, pki.backend, alpn=["h2"] if speaks == "h2" else None).port
    return edge(
        f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "reencrypt"\nto = ["127.0.0.1:{port}"]\nupstream_protocol = "{speaks}"\n'
        f'verify = {{ ca = "{pki.folder}/internal-ca.pem", name = "backend.internal" }}\n{HEALTH}\n'
    )


def backend(it: EdgeKit) -> dict[str, Any]:
    found: dict[str, Any] = it.status()["routes"][0]["backends"][0]
    return found


def becomes(it: EdgeKit, state: str) -> dict[str, Any]:
    until(lambda: backend(it)["state"] == state or None, 60, lambda: str(backend(it)))
    found: dict[str, Any] = backend(it)["check"]
    return found


SPEAKS = pytest.mark.parametrize("speaks", ["http/1.1", "h2"])


@SPEAKS
def test_one_that_answers_200_is_well_only_while_it_says_so(edge: Edges, pki: Pki, raw: Raws, speaks: str) -> None:
    says = Says()
    it = begun(edge, pki, raw, says, speaks)
    until(lambda: backend(it)["check"]["passed"] >= 2 or None, 60, lambda: str(backend(it)))
    assert backend(it)["check"]["failed"] == 0
    assert len(set(says.connections[:2])) == 1, "what is read of a body to its end leaves the connection to the next"
    says.pieces = (b'{"status":"UP"}', b'"status":"u')
    check = becomes(it, "down")
    assert check["seen"] == r'answered 200 without "\"status\":\"up\""'
    says.pieces = PIECES
    becomes(it, "up")
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").body == b"ok"


@SPEAKS
def test_it_is_looked_for_in_what_is_read_of_a_body_and_no_further(
    edge: Edges, pki: Pki, raw: Raws, speaks: str
) -> None:
    word = WANTED.encode()
    says = Says((b"x" * (READ - len(word)) + word,))
    it = begun(edge, pki, raw, says, speaks)
    until(lambda: backend(it)["check"]["passed"] >= 1 or None, 60, lambda: str(backend(it)))
    says.pieces = (b"x" * (6 * 4096), word)
    becomes(it, "down")
    # Found, it is well, whether the body ends or not; not found, an end is waited for as long as a check may take.
    says.pieces, says.ends = (word,), False
    becomes(it, "up")
    says.pieces = (b"no",)
    assert becomes(it, "down")["seen"] == "no answer within 5 s"

"""`[[identity]] from = "ca"`: an edge comes to its certificate by a token, renews it, follows its authority, and refuses what takes it
until it is there. It never goes on without."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.own_ca import OwnCa, Served
from tests.kit.raw import OK, answering

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
NAME = "spiffe://corp.example/edge"
TOLD = ("--domain", "corp.example", "--trust-domain", "corp.example", "--network", "127.0.0.0/8")
GET = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"


@pytest.fixture
def own(tmp_path: Path) -> OwnCa:
    return OwnCa(tmp_path, *TOLD)


class Ground:
    """A backend that asks for a certificate of the authority, and an edge whose identity comes from it."""

    def __init__(self, edge: Edges, raw: Raws, own: OwnCa, folder: Path) -> None:
        self.edge, self.own, self.folder = edge, own, folder
        self.shown: list[int] = []

        def serve(sock: socket.socket, record: object) -> None:
            assert isinstance(sock, ssl.SSLSocket)
            self.shown.append(int(str((sock.getpeercert() or {})["serialNumber"]), 16))
            answering(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))(sock, record)  # type: ignore[arg-type]

        leaf = own.leaf(folder / "backend", "backend.corp.example", use="server")
        self.backend = raw(serve, leaf, clients=own.roots)
        self.token, self.state = folder / "token", folder / "state"
        self.port = free_port()

    def given(self, text: str) -> None:
        self.token.touch(0o600)
        self.token.write_text(f"{text}\n")

    def route(self, port: int | None = None, more: str = "") -> str:
        return (
            f'[[identity]]\nname = "own"\nfrom = "ca"\nauthority = "127.0.0.1:{port or self.port}"\n'
            f'token = "file:{self.token}"\nstate = "{self.state}"\n'
            '[[route]]\nname = "r"\nhost = "a.test"\ntls = "mutual"\npresent = "own"\n'
            f'to = ["127.0.0.1:{self.backend.port}"]\n'
            'verify = { ca = "identity:own", crl = "identity:own", name = "backend.corp.example" }\n'
            f'[[route]]\nname = "other"\nhost = "b.test"\nanswer = {{ status = 200 }}\n{more}'
        )

    def run(self, port: int | None = None, more: str = "") -> EdgeKit:
        return self.edge(self.route(port, more))

    def leaf(self) -> x509.Certificate:
        return x509.load_pem_x509_certificates((self.state / "current" / "pair.pem").read_bytes())[0]


@pytest.fixture
def ground(edge: Edges, raw: Raws, own: OwnCa, tmp_path: Path) -> Ground:
    return Ground(edge, raw, own, tmp_path)


@pytest.fixture
def served(own: OwnCa) -> Iterator[Served]:
    it = own.served()
    yield it
    assert it.stop() == 0


def status(it: EdgeKit, host: str = "a.test") -> int:
    with tls(it.port, host, it.pki.public.file, kept=False) as sock:
        return exchange(sock, GET.replace("a.test", host)).status


def told(it: EdgeKit, kind: str) -> list[str]:
    troubles: list[dict[str, Any]] = it.admin("status")["supervisor"]["troubles"]
    return [str(one["why"]) for one in troubles if one["kind"] == kind and one["about"] == "identity own"]


def test_an_edge_is_enrolled_by_its_token_and_what_came_serves_hops_by_its_roots_and_lists(
    ground: Ground, served: Served
) -> None:
    ground.given(ground.own.does("token", NAME).strip())
    it = ground.run(served.port)
    until(lambda: status(it) == 200)
    assert ground.shown[-1] == ground.leaf().serial_number
    assert (ground.state / "current" / "pair.pem").stat().st_mode & 0o777 == 0o600
    assert ground.state.stat().st_mode & 0o777 == 0o700
    assert told(it, "identity-missing") == told(it, "identity-not-renewed") == []
    (said,) = it.admin("status")["supervisor"]["identities"]
    assert said["identity"] == "own" and said["from"] == f"ca 127.0.0.1:{served.port}" and said["problem"] is None
    assert said["until"] == ground.leaf().not_valid_after_utc.isoformat()


def test_without_its_certificate_a_hop_is_refused_by_a_word_of_its_own_and_everything_else_is_served(
    ground: Ground,
) -> None:
    """Its authority is away: nothing goes to the backend, with a certificate or without."""
    ground.given(ground.own.does("token", NAME).strip())
    it = ground.run()
    with tls(it.port, "a.test", it.pki.public.file) as sock:
        answer = exchange(sock, GET)
    assert (answer.status, "hop/no-identity-yet" in answer.text) == (503, True), answer
    assert it.line(lambda line: line["route"] == "r")["end"] == "hop/no-identity-yet"
    assert status(it, "b.test") == 200
    assert ground.shown == [] and ground.backend.records == []
    until(lambda: any("did not answer" in why and "tried again at" in why for why in told(it, "identity-missing")))
    assert it.status()["routes"][0]["closed"] == "hop/no-identity-yet"

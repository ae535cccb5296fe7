"""`everyhop guard` beside a backend that knows nothing of TLS, and an edge in front of it: who is admitted gets through, nobody else does."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from everyhop.demo.certificates import Leaf
from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.edge import leaf, until
from tests.kit.guards import Guard, asked, flags, of_files
from tests.kit.nursery import everyhop
from tests.kit.raw import rest
from tests.threats.ground import serving
from tests.threats.talk import arrivals

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
Guards = Callable[..., Guard]
FORGED = "GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Host: six.test\r\n\r\n"


@pytest.fixture
def guard(pki: Pki) -> Iterator[Guards]:
    begun: list[Guard] = []

    def start(to: int, *more: str) -> Guard:
        begun.append(Guard(to, *of_files(pki), *more))
        return begun[-1]

    yield start
    for it in begun:
        it.close()


def test_an_edge_reaches_the_backend_by_the_lines_that_the_guard_gives_and_the_backend_hears_of_the_client(
    edge: Edges, raw: Raws, pki: Pki, guard: Guards
) -> None:
    backend = raw(serving)
    it = guard(backend.port)
    for more in ("", 'upstream_protocol = "h2"'):
        front = edge(it.route("edge", more))
        with tls(front.port, "a.test", pki.public.file) as sock:
            assert exchange(sock, FORGED).status == 200
        got = list(arrivals([bytes(record) for record in backend.records]))[-1]
        # The client as the edge saw it, and then the edge: what the client says of itself is nowhere.
        assert got.one("x-forwarded-for") == "127.0.0.1, 127.0.0.1"
        assert (got.one("x-forwarded-host"), got.all("client-cert")) == ("a.test", [])
        assert front.line(lambda line: line.get("route") == "r")["backend_hop"]["identity"] == "demanded"
    assert '"edge.internal"' in until(lambda: it.lines)


def test_nobody_but_who_is_admitted_gets_to_the_backend(raw: Raws, pki: Pki, guard: Guards) -> None:
    """No certificate, one of another authority, one of another name; and one that is admitted, so that it is none of the rest."""
    backend = raw(serving)
    it = guard(backend.port)
    for shows in (None, "client"):
        with (
            pytest.raises((ssl.SSLError, OSError)),
            tls(it.port, None, pki.internal.file, leaf=shown(pki, shows)) as sock,
        ):
            exchange(sock, FORGED)
    with tls(it.port, None, pki.internal.file, leaf=shown(pki, "other")) as sock:
        answer = exchange(sock, FORGED)
    assert answer.status == 403 and "request/client-not-allowed" in answer.text
    with socket.create_connection(("127.0.0.1", it.port), 20) as plain:
        plain.sendall(FORGED.encode())
        assert b" 200 " not in plain.recv(4096)
    assert not any(bytes(record) for record in backend.records)
    with tls(it.port, None, pki.internal.file, leaf=shown(pki, "identity")) as sock:
        assert exchange(sock, FORGED).status == 200


def shown(pki: Pki, name: str | None) -> Leaf | None:
    return leaf(pki, name) if name else None


def echoing(sock: socket.socket, record: bytearray) -> None:
    while data := rest(sock, record, 1):
        sock.sendall(data)


def ended(it: Guard, pki: Pki) -> None:
    """A connection by another name is ended, and brings nothing back."""
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        with tls(it.port, None, pki.internal.file, leaf=shown(pki, "other"), kept=False) as sock:
            sock.sendall(b"hello")
            assert sock.recv(1) == b""


def test_bytes_that_are_not_read_go_through_and_a_guard_that_was_ended_begins_again(
    raw: Raws, pki: Pki, guard: Guards
) -> None:
    echo = raw(echoing)
    it = guard(echo.port, "--tcp")
    for _ in range(2):
        with tls(it.port, None, pki.internal.file, leaf=shown(pki, "identity")) as sock:
            sock.sendall(b"hello")
            assert b"".join(iter(lambda: sock.recv(1), b"o")) == b"hell"
        heard = [bytes(record) for record in echo.records]
        ended(it, pki)
        until(lambda: '"request/client-not-allowed"' in it.lines)
        assert [bytes(record) for record in echo.records if record] == [one for one in heard if one]
        assert it.stop() == 0
        it.begin()


def test_a_second_guard_by_the_same_folder_is_refused_and_the_first_keeps_its_configuration(
    raw: Raws, pki: Pki, guard: Guards
) -> None:
    """Else the next reload of the first would admit whom the second was told."""
    it = guard(raw(serving).port)
    before = it.config.read_bytes()
    done = everyhop("guard", *flags(it.state, free_port(), it.to, *of_files(pki, "other.internal")))
    assert done.returncode == 4 and "another guard runs by what lies in" in done.stderr, done.stderr
    assert it.config.read_bytes() == before
    assert everyhop("reload", "--config", str(it.config)).returncode == 0
    assert asked(it.port, pki.internal.file, shown(pki, "other")) == 403
    assert it.stop() == 0
    it.begin()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--to", "10.0.0.5:8080"], "is not on this host"),
        (["--to", "localhost:8080"], "is not on this host"),
        (["--to", "nowhere"], "is no address"),
        (["--listen", "edge.test:1"], "is no address"),
        (["--admit", "CN=edge"], "a subject such as"),
        (["--cert", "/nowhere.pem"], "No such file"),
    ],
)
def test_what_would_guard_nothing_is_refused_before_anything_is_written(
    pki: Pki, tmp_path: Path, more: list[str], told: str
) -> None:
    good = flags(tmp_path / "state", 8443, "127.0.0.1:8080", *of_files(pki))
    shown_ = everyhop("guard", *good, "--print-config")
    assert shown_.returncode == 0 and 'hosts = ["*"]' in shown_.stdout, shown_.stderr
    said = everyhop("guard", *good, *more)
    assert said.returncode in (2, 4) and told in said.stderr, said.stderr
    assert not (tmp_path / "state").exists()

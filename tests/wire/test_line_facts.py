"""What a line of the access log says of a connection and a request is so, and is otherwise where it was otherwise."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Pki, exchange, tls
from tests.kit.edge import until
from tests.promises.backend import Counting
from tests.threats.frames import Client, fields

Edges = Callable[..., EdgeKit]
Line = dict[str, Any]


@pytest.fixture
def backend() -> Iterator[Counting]:
    it = Counting()
    yield it
    it.close()


def route(port: int, more: str = "") -> str:
    return f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n{more}\n'


def ask(sock: ssl.SSLSocket, path: str, body: bytes = b"") -> int:
    head = f"POST {path} HTTP/1.1\r\nHost: a.test\r\nContent-Length: {len(body)}\r\n\r\n"
    return exchange(sock, head + body.decode()).status


def line(it: EdgeKit, path: str) -> Line:
    return it.line(lambda x: x["path"] == path)


def test_requests_of_one_connection_share_its_number_and_each_has_its_own(
    edge: Edges, pki: Pki, backend: Counting
) -> None:
    it = edge(route(backend.port))
    for n in range(2):
        with tls(it.port, "a.test", pki.public.file) as sock:
            assert ask(sock, f"/{n}/a") == ask(sock, f"/{n}/b") == 200
    it_h2 = Client(tls(it.port, "a.test", pki.public.file, alpn=["h2"]))
    for stream, path in ((1, b"/2/a"), (3, b"/2/b")):
        assert it_h2.ask(stream, fields("a.test", path=path)) == "200"
    found = [(line(it, f"/{n}/a"), line(it, f"/{n}/b")) for n in range(3)]
    assert all(a["conn"] == b["conn"] for a, b in found)
    assert len({a["conn"] for a, _ in found}) == 3
    assert len({x["id"] for pair in found for x in pair}) == 6
    assert [a["protocol"] for a, _ in found] == ["http/1.1", "http/1.1", "h2"]
    assert [a["client_hop"]["alpn"] for a, _ in found] == [None, None, "h2"]


def test_the_listener_is_the_one_that_was_connected_to(edge: Edges, pki: Pki, backend: Counting) -> None:
    port = free_port()
    second = f'[[listener]]\nname = "second"\nbind = ["127.0.0.1:{port}"]\n'
    it = edge(route(backend.port), more=second)
    for at, name in ((it.port, "public"), (port, "second")):
        with tls(at, "a.test", pki.public.file) as sock:
            assert ask(sock, f"/{name}") == 200
        assert line(it, f"/{name}")["listener"] == name


@pytest.mark.parametrize(
    ("version", "cipher", "curve", "suite", "group"),
    [
        ("1.2", "ECDHE-ECDSA-AES128-GCM-SHA256", "prime256v1", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "secp256r1"),
        ("1.2", "ECDHE-ECDSA-AES256-GCM-SHA384", "prime256v1", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "secp256r1"),
        ("1.3", None, "prime256v1", None, "secp256r1"),
        ("1.3", None, "secp384r1", None, "secp384r1"),
    ],
)
def test_version_suite_and_group_are_those_that_were_agreed_on(
    edge: Edges,
    pki: Pki,
    backend: Counting,
    version: str,
    cipher: str | None,
    curve: str,
    suite: str | None,
    group: str,
) -> None:
    it = edge(route(backend.port))
    context = ssl.create_default_context(cafile=str(pki.public.file))
    context.set_ecdh_curve(curve)
    if cipher:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(cipher)
    with context.wrap_socket(socket.create_connection(("127.0.0.1", it.port), 20), server_hostname="a.test") as sock:
        assert ask(sock, "/x") == 200
        agreed = sock.cipher()
    hop = line(it, "/x")["client_hop"]
    assert agreed is not None
    assert (hop["version"], hop["group"]) == (version, group)
    assert hop["suite"] == (suite or agreed[0])


def test_a_session_is_told_as_resumed_only_where_it_was(edge: Edges, pki: Pki, backend: Counting) -> None:
    it = edge(route(backend.port))
    context = ssl.create_default_context(cafile=str(pki.public.file))

    def come(path: str, session: ssl.SSLSession | None) -> ssl.SSLSession | None:
        raw = socket.create_connection(("127.0.0.1", it.port), 20)
        with context.wrap_socket(raw, server_hostname="a.test", session=session) as sock:
            assert ask(sock, path) == 200
            return sock.session

    session = come("/first", None)
    come("/again", session)
    come("/anew", None)
    assert [line(it, p)["client_hop"]["resumed"] for p in ("/first", "/again", "/anew")] == [False, True, False]


def test_a_connection_to_a_backend_is_told_as_reused_only_where_it_was(
    edge: Edges, pki: Pki, backend: Counting
) -> None:
    it = edge(route(backend.port), more="[limits]\nupstream_idle_s = 1\n")
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert ask(sock, "/first") == ask(sock, "/second") == 200
        backend.fall()
        backend.rise()
        until(lambda: ask(sock, "/probe") == 200)
        assert ask(sock, "/third") == 200
    reused = [line(it, p)["backend_hop"]["reused"] for p in ("/first", "/second", "/third")]
    assert reused == [False, True, True]
    assert [x["backend_hop"]["reused"] for x in it.lines() if x["path"] == "/probe"][-1] is False


def test_plan_and_material_of_a_line_are_those_that_it_was_served_under(
    edge: Edges, pki: Pki, backend: Counting
) -> None:
    """Also on a connection that was there before."""
    it = edge(route(backend.port))
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert ask(sock, "/before") == 200
        first = it.status()
        assert it.reload(route(backend.port, "priority = 1"))["reloaded"]
        second = it.status()
        assert ask(sock, "/after") == 200
    before, after = line(it, "/before"), line(it, "/after")
    assert before["plan"] == first["plan_digest"] != second["plan_digest"] == after["plan"]
    assert before["material"] == after["material"] == first["material_digest"]
    assert before["conn"] == after["conn"]


def test_bytes_and_times_are_those_of_the_request(edge: Edges, pki: Pki, backend: Counting) -> None:
    it = edge(route(backend.port))
    with tls(it.port, "a.test", pki.public.file) as sock:
        began = dt.datetime.now(dt.UTC)
        assert ask(sock, "/a") == ask(sock, "/b", b"x" * 5000) == 200
        backend.gate.clear()
        sock.sendall(b"GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n")
        until(lambda: backend.waiting)
        since = dt.datetime.now(dt.UTC)
        until(lambda: (dt.datetime.now(dt.UTC) - since).total_seconds() > 0.5)
        backend.gate.set()
        assert sock.recv(4096).startswith(b"HTTP/1.1 200")
    a, b, slow = line(it, "/a"), line(it, "/b"), line(it, "/slow")
    ended = dt.datetime.now(dt.UTC)
    assert (a["bytes_in"], b["bytes_in"], slow["bytes_in"]) == (0, 5000, 0), "of bodies"
    assert a["bytes_out"] == b["bytes_out"] == len(b"ok")
    assert slow["duration_us"] >= 500_000 and all(0 < x["duration_us"] < 30_000_000 for x in (a, b, slow))
    times = [dt.datetime.fromisoformat(x["time"]) for x in (a, b, slow)]
    assert began <= times[0] <= times[1] <= times[2] <= ended
    assert (times[2] - times[1]).total_seconds() >= 0.5, "a line is of the end of its request"

"""`demand_asks`: a backend that did not ask for our certificate is sent no byte of a request, whatever it resumes and whatever
the request is; and one that asks is served as any other."""

from __future__ import annotations

import socket
import ssl
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.clients import Answer
from tests.kit.raw import OK, Record, answering, head
from tests.kit.settle import settle

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

CLOSES = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
UPGRADE = (
    "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)
SLUG = "hop/identity-not-demanded"
VERSIONS = pytest.mark.parametrize("most", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


def route(*to: Raw, more: str = "demand_asks = true\n") -> str:
    at = ", ".join(f'"127.0.0.1:{it.port}"' for it in to)
    verify = 'verify = { ca = "{pki}/internal-ca.pem", name = "backend.internal" }\npresent = "edge"\n'
    return f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "mutual"\nto = [{at}]\n{verify}{more}'


def ask(it: EdgeKit, request: str = GET) -> Answer:
    with tls(it.port, "a.test", it.pki.public.file) as sock:
        return exchange(sock, request)


def backend(it: EdgeKit, index: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = it.status()["routes"][0]["backends"][index]
    return found


def up_to(it: Raw, most: ssl.TLSVersion) -> Raw:
    assert it.context is not None
    it.context.maximum_version = most
    return it


@VERSIONS
def test_a_backend_that_does_not_ask_is_sent_nothing_and_everybody_is_told(
    edge: Edges, raw: Raws, pki: Pki, most: ssl.TLSVersion
) -> None:
    careless = up_to(raw(answering(OK), pki.backend), most)
    port = free_port()
    it = edge(route(careless), more=f'[status]\nbind = "127.0.0.1:{port}"\n')
    answer = ask(it)
    assert answer.status == 502 and SLUG in answer.text
    settle(it, careless)
    assert careless.received == b""
    line = it.line(lambda x: x["end"] == SLUG)
    assert [f["end"] for f in line["failed_hops"]] == [SLUG]
    assert line["failed_hops"][0]["address"] == f"127.0.0.1:{careless.port}"
    assert line["backend_hop"]["identity"] == "not_demanded"
    told = backend(it)
    assert (told["identity"], told["failures"], told["failed"]) == ("not_demanded", 1, {SLUG: 1})
    assert told["last_failure"]["end"] == SLUG
    screen = it.cli("status", "--config", str(it.config)).stdout
    assert "does not ask for our certificate: it is sent nothing" in screen, screen
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as read:
        assert f'slug="{SLUG}"}} 1' in read.read().decode()


@VERSIONS
def test_no_session_of_a_backend_that_does_not_ask_is_taken_up(
    edge: Edges, raw: Raws, pki: Pki, most: ssl.TLSVersion
) -> None:
    """It would resume them, and a resumed session asks for nothing: that must not look as if it had."""
    careless = up_to(raw(answering(OK), pki.backend), most)
    it = edge(route(careless))
    assert [ask(it).status for _ in range(6)] == [502] * 6
    settle(it, careless)
    assert careless.received == b""
    it.line(lambda _: len(it.lines()) >= 6)
    assert {x["end"] for x in it.lines()} == {SLUG}


@VERSIONS
def test_a_backend_that_asks_is_served_and_so_are_its_resumed_sessions(
    edge: Edges, raw: Raws, pki: Pki, most: ssl.TLSVersion
) -> None:
    asks = up_to(raw(answering(CLOSES), pki.backend, clients=pki.internal.file), most)
    it = edge(route(asks))
    assert [ask(it).status for _ in range(4)] == [200] * 4
    it.line(lambda _: len(it.lines()) >= 4)
    hops = [x["backend_hop"] for x in it.lines()]
    assert [h["resumed"] for h in hops] == [False, True, True, True]
    assert {h["identity"] for h in hops} == {"demanded"}
    assert backend(it)["identity"] == "demanded"


@VERSIONS
def test_a_session_from_before_it_was_demanded_is_no_way_around_it(
    edge: Edges, raw: Raws, pki: Pki, most: ssl.TLSVersion
) -> None:
    careless = up_to(raw(answering(CLOSES), pki.backend), most)
    it = edge(route(careless, more=""))
    assert [ask(it).status, ask(it).status] == [200, 200]
    it.line(lambda x: bool(x["backend_hop"]["resumed"]))
    mark = careless.mark()
    assert it.reload(route(careless))["reloaded"]
    assert ask(it).status == 502
    settle(it, careless)
    assert careless.since(mark) == []


def test_nor_is_a_connection_that_waits_in_a_pool(edge: Edges, raw: Raws, pki: Pki) -> None:
    careless = raw(answering(OK), pki.backend)
    it = edge(route(careless, more=""))
    assert ask(it).status == 200
    mark = careless.mark()
    assert it.reload(route(careless))["reloaded"]
    assert ask(it).status == 502
    settle(it, careless)
    assert careless.since(mark) == []
    assert it.reload(route(careless, more=""))["reloaded"]
    assert ask(it).status == 200


def test_a_tunnel_to_it_is_cut_when_it_is_demanded_and_none_is_opened_after(edge: Edges, raw: Raws, pki: Pki) -> None:
    def switches(sock: socket.socket, record: Record) -> None:
        head(sock, record)
        sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        while record.take(sock, 4096):
            pass

    careless = raw(switches, pki.backend)
    it = edge(route(careless, more=""), drain_s=1)
    with tls(it.port, "a.test", pki.public.file) as sock:
        sock.sendall(UPGRADE.encode())
        assert sock.recv(4096).startswith(b"HTTP/1.1 101 ")
        assert it.reload(route(careless))["reloaded"]
        sock.settimeout(20)
        assert sock.recv(4096) == b""
    it.line(lambda x: x["end"] == "tunnel/route-gone")
    mark = careless.mark()
    assert ask(it, UPGRADE).status == 502
    settle(it, careless)
    assert careless.since(mark) == []


def test_over_http2_not_even_the_preface_is_sent(edge: Edges, raw: Raws, pki: Pki) -> None:
    def listens(sock: socket.socket, record: Record) -> None:
        while record.take(sock, 64):
            pass

    careless = raw(listens, pki.backend, alpn=["h2"])
    it = edge(route(careless, more='demand_asks = true\nupstream_protocol = "h2"\n'))
    assert ask(it).status == 502
    settle(it, careless)
    assert careless.received == b""
    it.line(lambda x: x["end"] == SLUG)


def test_it_is_left_alone_and_the_one_that_asks_takes_its_requests(edge: Edges, raw: Raws, pki: Pki) -> None:
    careless, asks = raw(answering(CLOSES), pki.backend), raw(answering(CLOSES), pki.backend, clients=pki.internal.file)
    it = edge(route(careless, asks), more="[limits]\neject_after = 2\neject_s = 600\n")
    assert [ask(it).status for _ in range(8)] == [200] * 8
    settle(it, careless)
    assert careless.received == b""
    assert [backend(it, i)["state"] for i in (0, 1)] == ["ejected", "up"]
    assert backend(it)["failed"] == {SLUG: 2}


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ('data = "major-incident"\n', 502),
        ('data = "major-incident"\ndemand_asks = false\n', 200),
        ('data = "confidential"\n', 200),
        ("", 200),
    ],
)
def test_data_whose_leak_would_be_a_major_incident_goes_to_none_that_does_not_ask(
    edge: Edges, raw: Raws, pki: Pki, more: str, status: int
) -> None:
    careless = raw(answering(OK), pki.backend)
    it = edge(route(careless, more=more))
    assert ask(it).status == status
    settle(it, careless)
    assert bool(careless.received) == (status == 200)
    alarms = it.line(lambda x: x["status"] == status)["alarms"]
    assert alarms == ["identity_not_demanded"]

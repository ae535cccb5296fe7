"""The edge asks backends by itself whether they are well: over the hop of their route, and no request finds out for it."""

from __future__ import annotations

import contextlib
import socket
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import grpc
import pytest

from everyhop.demo.backends import Backend
from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.h2_backend import Asked, H2Backend, Spoken
from tests.kit.raw import OK, answering, head
from tests.kit.servers import Nginx

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
QUICK = "every_s = 1, timeout_s = 5, down_after = 2"
"""A busy machine may take seconds for an answer that is well."""
BY_PATH = f'health = {{ path = "/healthz", {QUICK} }}'
HOPS = {
    "plaintext": 'tls = "plaintext"',
    "reencrypt": 'tls = "reencrypt"\nverify = {{ ca = "{pki}/internal-ca.pem", name = "backend.internal" }}',
    "mutual": 'tls = "mutual"\npresent = "edge"\nverify = {{ ca = "{pki}/internal-ca.pem", name = "backend.internal" }}',
}


@dataclass
class Moody:
    """Answers `/healthz` as it is told, everything else well; knows which of both it was asked."""

    status: int = 200
    checks: list[dict[str, str]] = field(default_factory=list)
    requests: list[dict[str, str]] = field(default_factory=list)

    def __call__(self, request: BaseHTTPRequestHandler, caller: str) -> None:
        is_check = request.path == "/healthz"
        fields = {k.lower(): v for k, v in request.headers.items()}
        (self.checks if is_check else self.requests).append({**fields, "caller": caller})
        request.send_response(self.status if is_check else 200)
        request.send_header("content-length", "0")
        request.end_headers()


@pytest.fixture
def opened() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


def serves(opened: contextlib.ExitStack, pki: Pki, pattern: str, moody: Moody, port: int = 0) -> Backend:
    leaf = None if pattern == "plaintext" else pki.backend
    clients = pki.internal.file if pattern == "mutual" else None
    it = Backend("b", leaf, clients=clients, demands=clients is not None, port=port, answer=moody)
    opened.callback(it.close)
    return it


def route(pki: Pki, pattern: str, ports: list[int], more: str, backup: int | None = None) -> str:
    to = [f'"127.0.0.1:{port}"' for port in ports]
    to += [f'{{ at = "127.0.0.1:{backup}", backup = true }}'] if backup else []
    hop = HOPS[pattern].format(pki=pki.folder)
    return f'[[route]]\nname = "r"\nhost = "a.test"\n{hop}\nto = [{", ".join(to)}]\n{more}\n'


def states(it: EdgeKit) -> list[str]:
    return [b["state"] for b in it.status()["routes"][0]["backends"]]


def checked(it: EdgeKit, at: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = it.status()["routes"][0]["backends"][at]["check"]
    return found


def becomes(it: EdgeKit, wanted: list[str]) -> None:
    until(lambda: states(it) == wanted or None, 30, told=lambda: str(it.status()["routes"][0]["backends"]))


def metrics(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


def ask(it: EdgeKit, pki: Pki, count: int) -> list[int]:
    with tls(it.port, "a.test", pki.public.file) as sock:
        return [exchange(sock, GET).status for _ in range(count)]


@pytest.mark.parametrize("pattern", list(HOPS))
def test_one_that_answers_its_check_otherwise_takes_nothing_new_until_it_passes(
    edge: Edges, pki: Pki, opened: contextlib.ExitStack, pattern: str
) -> None:
    """Over the hop of its route: proved to each other, where that is so."""
    sick, well = Moody(), Moody()
    ports = [serves(opened, pki, pattern, moody).port for moody in (sick, well)]
    it = edge(route(pki, pattern, ports, BY_PATH), threads=2)
    until(lambda: (checked(it)["passed"] and checked(it, 1)["passed"]) or None, 20)
    assert states(it) == ["up", "up"]
    assert ask(it, pki, 4) == [200] * 4 and sick.requests and well.requests
    seen = sick.checks[0]
    assert (seen["host"], seen["user-agent"], seen["x-forwarded-proto"]) == ("a.test", "everyhop-health", "https")
    assert ("edge.internal" in seen["caller"]) == (pattern == "mutual"), seen
    sick.status = 503
    becomes(it, ["down", "up"])
    before = len(sick.requests)
    assert ask(it, pki, 8) == [200] * 8 and len(sick.requests) == before
    about = f"backend 127.0.0.1:{ports[0]} of route r"
    told = it.edge.wait_for(f"wrong: {about}")
    assert "does not pass its health check" in told and "(answered 503)" in told, told
    shown = it.cli("status", "--config", str(it.config)).stdout
    assert f"127.0.0.1:{ports[0]} down by its check: answered 503" in " ".join(shown.split()), shown
    sick.status = 204
    becomes(it, ["up", "up"])
    it.edge.wait_for(f"well again: {about}")
    assert ask(it, pki, 8) == [200] * 8 and len(sick.requests) > before


def test_a_real_server_that_goes_is_down_before_a_request_meets_it_and_up_once_it_is_back(
    edge: Edges, pki: Pki, opened: contextlib.ExitStack, tmp_path: Path
) -> None:
    server = Nginx(tmp_path)
    opened.callback(lambda: server.close())
    stays = Moody()
    other = serves(opened, pki, "plaintext", stays)
    listed = f'health = {{ path = "/", {QUICK} }}\n'
    it = edge(route(pki, "plaintext", [server.port, other.port], listed))
    until(lambda: checked(it)["passed"] or None, 20)
    server.close()
    becomes(it, ["down", "up"])
    assert checked(it)["seen"] == "connection refused"
    assert ask(it, pki, 6) == [200] * 6
    assert not it.status()["routes"][0]["last"]["failed_hops"], "no request met it"
    again = Nginx(tmp_path, server.port)
    opened.callback(again.close)
    becomes(it, ["up", "up"])
    before = len(again.lines())
    assert ask(it, pki, 6) == [200] * 6
    until(lambda: len(again.lines()) > before)


def test_metrics_tell_who_is_up_what_checks_found_and_that_a_route_panics(
    edge: Edges, pki: Pki, opened: contextlib.ExitStack
) -> None:
    bound, well = free_port(), Moody()
    dead, port = free_port(), serves(opened, pki, "plaintext", well).port
    more = f'[status]\nbind = "127.0.0.1:{bound}"\n'
    it = edge(route(pki, "plaintext", [dead, port], BY_PATH), more=more)
    becomes(it, ["down", "up"])
    told = metrics(bound)
    labels = f'route="r",backend="127.0.0.1:{dead}"'
    assert told[f'everyhop_backend_up{{{labels},tls="plaintext"}}'] == 0
    assert told[f'everyhop_backend_up{{route="r",backend="127.0.0.1:{port}",tls="plaintext"}}'] == 1
    assert told[f'everyhop_backend_checks_total{{{labels},result="failed"}}'] >= 2
    assert told[f'everyhop_backend_checks_total{{{labels},result="passed"}}'] == 0
    assert told['everyhop_route_panics{route="r"}'] == 0, "half of them are up"
    well.status = 500
    becomes(it, ["down", "down"])
    assert metrics(bound)['everyhop_route_panics{route="r"}'] == 1


def test_while_fewer_than_half_are_up_all_are_used_and_it_is_said(
    edge: Edges, pki: Pki, opened: contextlib.ExitStack
) -> None:
    moods = [Moody(503), Moody(503), Moody()]
    ports = [serves(opened, pki, "plaintext", moody).port for moody in moods]
    it = edge(route(pki, "plaintext", ports, BY_PATH))
    becomes(it, ["down", "down", "up"])
    told = it.edge.wait_for("wrong: route r")
    assert "fewer than half" in told, told
    assert ask(it, pki, 9) == [200] * 9
    assert [len(moody.requests) for moody in moods] == [3, 3, 3]
    assert "fewer than half of its backends are up" in it.cli("status", "--config", str(it.config)).stdout
    moods[0].status = 200
    becomes(it, ["up", "down", "up"])
    it.edge.wait_for("well again: route r")
    assert ask(it, pki, 8) == [200] * 8
    assert len(moods[1].requests) == 3, "one of three is left alone"


def test_whose_certificate_is_refused_gets_nothing_even_where_all_others_are_down(
    edge: Edges, pki: Pki, opened: contextlib.ExitStack, raw: Raws
) -> None:
    sick = Moody(503)
    impostor = raw(answering(OK), pki.other)
    port = serves(opened, pki, "reencrypt", sick).port
    it = edge(route(pki, "reencrypt", [impostor.port, port], BY_PATH))
    becomes(it, ["down", "down"])
    assert checked(it)["refused"] == "hop/name-mismatch" and checked(it, 1)["refused"] is None
    assert "certificate does not carry the expected name" in checked(it)["seen"]
    assert checked(it)["failed"] >= 1 and it.status()["routes"][0]["panics"]
    assert ask(it, pki, 6) == [200] * 6 and len(sick.requests) == 6
    failed = it.status()["routes"][0]["last"]["failed_hops"]
    assert not failed and not impostor.received, "no request tried it"
    it.edge.wait_for(f"wrong: backend 127.0.0.1:{impostor.port} of route r: a backend shows a certificate")
    alone = edge(route(pki, "reencrypt", [impostor.port], BY_PATH))
    becomes(alone, ["down"])
    assert ask(alone, pki, 1) == [502]
    line = alone.line(lambda line: line["status"] == 502)
    assert line["end"] == "hop/name-mismatch" and not line["failed_hops"], line
    impostor.context = None if impostor.context is None else raw(answering(OK), pki.backend).context
    becomes(alone, ["up"])
    assert ask(alone, pki, 1) == [200]


def test_a_backup_takes_over_where_all_others_are_down_and_nobody_panics(
    edge: Edges, pki: Pki, opened: contextlib.ExitStack
) -> None:
    moods = [Moody(503), Moody(503), Moody()]
    ports = [serves(opened, pki, "plaintext", moody).port for moody in moods]
    it = edge(route(pki, "plaintext", ports[:2], BY_PATH, backup=ports[2]))
    becomes(it, ["down", "down", "up"])
    assert not it.status()["routes"][0]["panics"]
    moods[2].requests.clear()
    assert ask(it, pki, 4) == [200] * 4
    assert len(moods[2].requests) == 4
    moods[1].status = 200
    becomes(it, ["down", "up", "up"])
    before = len(moods[1].requests)
    assert ask(it, pki, 4) == [200] * 4
    assert len(moods[1].requests) == before + 4 and len(moods[2].requests) == 4


def endless(sock: socket.socket, record: bytearray) -> None:
    if head(sock, record) is not None:
        sock.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            sock.sendall(b"X-More: " + b"a" * 1000 + b"\r\n")


def interim(sock: socket.socket, record: bytearray) -> None:
    if head(sock, record) is not None:
        while True:
            sock.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100)


def garbage(sock: socket.socket, record: bytearray) -> None:
    if head(sock, record) is not None:
        sock.sendall(bytes(range(256)) * 100)


def silent(sock: socket.socket, record: bytearray) -> None:
    head(sock, record)
    head(sock, record)


def long_body(sock: socket.socket, record: bytearray) -> None:
    if head(sock, record) is not None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
        while True:
            sock.sendall(b"a" * 65536)


def only_checks(script: Callable[[socket.socket, bytearray], None]) -> Callable[[socket.socket, bytearray], None]:
    """Requests are answered well: what is wrong is the answer to a check alone."""

    def either(sock: socket.socket, record: bytearray) -> None:
        if sock.recv(12, socket.MSG_PEEK).startswith(b"GET /healthz"):
            script(sock, record)
        else:
            answering(OK)(sock, record)  # type: ignore[arg-type]

    return either


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (silent, "no answer within 1 s"),
        (garbage, "the backend's answer is not valid HTTP"),
        (endless, "the backend's answer is not valid HTTP"),
        (interim, "the backend sent more informational responses than the limit"),
    ],
)
def test_a_check_that_is_answered_slowly_wrongly_or_without_end_costs_no_request_anything(
    edge: Edges, pki: Pki, opened: contextlib.ExitStack, raw: Raws, script: Any, says: str
) -> None:
    odd, well = raw(only_checks(script)), Moody()
    port = serves(opened, pki, "plaintext", well).port
    soon = BY_PATH.replace("timeout_s = 5", "timeout_s = 1") if script is silent else BY_PATH
    it = edge(route(pki, "plaintext", [odd.port, port], soon))
    while states(it) != ["down", "up"]:
        assert ask(it, pki, 4) == [200] * 4
    assert says in checked(it)["seen"], checked(it)
    before = odd.received.count(b"GET / ")
    assert ask(it, pki, 8) == [200] * 8 and odd.received.count(b"GET / ") == before


def test_a_body_without_end_behind_a_good_head_is_not_waited_for(edge: Edges, pki: Pki, raw: Raws) -> None:
    it = edge(route(pki, "plaintext", [raw(only_checks(long_body)).port], BY_PATH))
    until(lambda: checked(it)["passed"] >= 2 or None, 20)
    assert states(it) == ["up"] and checked(it)["failed"] == 0


def test_where_tls_passes_through_a_connection_is_all_that_is_asked_and_a_proxy_header_says_whose_it_is(
    edge: Edges, pki: Pki, raw: Raws
) -> None:
    said: list[bytes] = []

    def proxied(sock: socket.socket, record: bytearray) -> None:
        while data := sock.recv(1000):
            said.append(data)

    takes, dead = raw(proxied), free_port()
    to = f'"127.0.0.1:{takes.port}", "127.0.0.1:{dead}"'
    health = f"health = {{ connect = true, {QUICK} }}"
    it = edge(
        f'[[route]]\nname = "p"\nhost = "pass.test"\ntls = "passthrough"\nto = [{to}]\nsend_proxy = "v2"\n{health}\n'
    )
    becomes(it, ["up", "down"])
    assert set(until(lambda: said or None)) == {b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"}


def test_what_is_down_stays_down_over_a_reload_and_is_forgotten_where_nobody_asks_any_more(
    edge: Edges, pki: Pki, opened: contextlib.ExitStack
) -> None:
    sick, well = Moody(503), Moody()
    ports = [serves(opened, pki, "plaintext", moody).port for moody in (sick, well)]
    it = edge(route(pki, "plaintext", ports, BY_PATH))
    becomes(it, ["down", "up"])
    failed = checked(it)["failed"]
    assert it.reload(route(pki, "plaintext", ports, BY_PATH + "\nwebsocket = false"))["reloaded"]
    assert states(it) == ["down", "up"] and checked(it)["failed"] >= failed
    until(lambda: checked(it)["failed"] > failed + 1 or None, 20)
    slower = BY_PATH.replace("every_s = 1", "every_s = 3600")
    assert it.reload(route(pki, "plaintext", ports, slower))["reloaded"]
    assert states(it) == ["down", "up"], "another interval says nothing of a backend"
    before = len(sick.requests)
    assert ask(it, pki, 4) == [200] * 4 and len(sick.requests) == before
    assert it.reload(route(pki, "plaintext", ports, ""))["reloaded"]
    assert states(it) == ["up", "up"] and it.status()["routes"][0]["backends"][0]["check"] is None
    assert ask(it, pki, 4) == [200] * 4 and len(sick.requests) > before


def test_a_drained_backend_is_drained_whatever_its_checks_say_and_they_are_no_connections_of_clients(
    edge: Edges, pki: Pki, opened: contextlib.ExitStack
) -> None:
    drained, well = Moody(), Moody()
    ports = [serves(opened, pki, "plaintext", moody).port for moody in (drained, well)]
    it = edge(route(pki, "plaintext", ports, BY_PATH))
    told = it.cli("drain", "r", f"127.0.0.1:{ports[0]}", "--config", str(it.config))
    assert told.returncode == 0, told.stderr
    until(lambda: len(drained.checks) >= 2 or None, 20)
    assert ask(it, pki, 4) == [200] * 4 and not drained.requests
    assert it.status()["routes"][0]["backends"][0]["open"] == 0
    well.status = 503
    becomes(it, ["up", "down"])
    assert it.status()["routes"][0]["panics"], "of those that take anything none is up"
    assert ask(it, pki, 4) == [200] * 4 and not drained.requests, "nor do requests go there then"


def test_one_that_came_back_takes_little_at_first_and_its_own_share_in_the_end(
    edge: Edges, pki: Pki, opened: contextlib.ExitStack
) -> None:
    moods = [Moody(503), Moody()]
    ports = [serves(opened, pki, "plaintext", moody).port for moody in moods]
    it = edge(route(pki, "plaintext", ports, BY_PATH + "\nslow_start_s = 3600"))
    becomes(it, ["down", "up"])
    moods[0].status = 200
    becomes(it, ["up", "up"])
    for moody in moods:
        moody.requests.clear()
    assert ask(it, pki, 101) == [200] * 101
    assert [len(moody.requests) for moody in moods] == [1, 100]
    assert it.reload(route(pki, "plaintext", ports, BY_PATH + "\nslow_start_s = 1"))["reloaded"]

    def has_its_share() -> bool:
        before = [len(moody.requests) for moody in moods]
        assert ask(it, pki, 20) == [200] * 20
        return [len(moody.requests) - n for moody, n in zip(moods, before, strict=True)] == [10, 10]

    until(lambda: has_its_share() or None, 20)


class Watched(grpc.GenericRpcHandler):  # type: ignore[misc]
    """grpc.health.v1 by hand: `status` is its answer of HealthCheckResponse."""

    def __init__(self) -> None:
        self.status, self.asked = 1, list[tuple[str, bytes]]()

    def service(self, details: Any) -> Any:
        if details.method == "/grpc.health.v1.Health/Check":
            return grpc.unary_unary_rpc_method_handler(self.check)
        return None

    def check(self, request: bytes, context: Any) -> bytes:
        self.asked.append((context.peer(), request))
        if self.status < 0:
            context.abort(grpc.StatusCode.NOT_FOUND, "which one?")
        return bytes([8, self.status]) if self.status else b""


@pytest.mark.parametrize("pattern", ["plaintext", "mutual"])
def test_a_server_of_grpc_is_asked_by_its_own_health_service(
    edge: Edges, pki: Pki, opened: contextlib.ExitStack, pattern: str
) -> None:
    watched = Watched()
    server = grpc.server(ThreadPoolExecutor(4), handlers=(watched,))
    opened.callback(lambda: server.stop(None).wait(5))
    if pattern == "plaintext":
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        pairs = [(pki.backend.key.read_bytes(), pki.backend.chain.read_bytes())]
        clients = pki.internal.file.read_bytes()
        port = server.add_secure_port(
            "127.0.0.1:0", grpc.ssl_server_credentials(pairs, clients, require_client_auth=True)
        )
    server.start()
    more = f'upstream_protocol = "h2"\nhealth = {{ grpc = "shop.Orders", {QUICK} }}'
    it = edge(route(pki, pattern, [port], more))
    until(lambda: checked(it)["passed"] >= 2 or None, 20, told=lambda: str(checked(it)))
    assert {request for _, request in watched.asked} == {b"\x0a\x0bshop.Orders"}
    for watched.status, says in (
        (2, "answered NOT_SERVING"),
        (0, "answered UNKNOWN"),
        (-1, "answered gRPC status 5: it knows no such service"),
    ):
        until(lambda: (checked(it)["seen"] == says) or None, 20, told=lambda: f"{says}: {checked(it)}")  # noqa: B023
        becomes(it, ["down"])
    watched.status = 1
    becomes(it, ["up"])


@pytest.mark.parametrize("protocol", ["h2", "auto"])
def test_backends_of_http2_are_asked_in_http2(edge: Edges, pki: Pki, raw: Raws, protocol: str) -> None:
    statuses = [b"200"]

    def on(spoken: Spoken, asked: Asked, event: object) -> None:
        if asked.ended:
            spoken.answer(asked.stream, status=statuses[0])

    script = H2Backend(on)
    one = raw(script, pki.backend, alpn=["h2"])
    more = f'upstream_protocol = "{protocol}"\n{BY_PATH}'
    it = edge(route(pki, "reencrypt", [one.port], more))
    until(lambda: checked(it)["passed"] >= 2 or None, 20, told=lambda: str(checked(it)))
    fields = script.asked[0].fields
    assert (fields[b":method"], fields[b":path"], fields[b":authority"]) == (b"GET", b"/healthz", b"a.test")
    statuses[0] = b"500"
    becomes(it, ["down"])
    assert checked(it)["seen"] == "answered 500"


def test_explain_says_that_backends_are_checked_and_how(edge: Edges, pki: Pki, raw: Raws) -> None:
    it = edge(route(pki, "plaintext", [raw(answering(OK)).port], BY_PATH))
    told = " ".join(it.cli("explain", "r", "--config", str(it.config)).stdout.split())
    said = "Every 1 s the edge asks for /healthz of a.test, at each backend over the route's own hop, to be answered 200-299 within 5 s"
    assert said in told and "fails 2 in a row takes nothing new until it passes 1" in told, told

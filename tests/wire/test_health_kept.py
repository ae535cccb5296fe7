"""Checks of health leave their connection open for the next, as long as all that it was opened by holds: what the backend
proved is never older than a minute, and nothing that ends meanwhile is missed for it."""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import h2.errors
import pytest

from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.forge import crl, forged, root, saved
from tests.kit.h2_backend import Asked, H2Backend, Spoken
from tests.kit.raw import OK, Record, answering, head, server_context
from tests.kit.soon import in_time

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
ASKED = b"GET /healthz HTTP/1.1"
QUICK = "every_s = 1, timeout_s = 5, down_after = 2"
"""A busy machine may take seconds for an answer that is well."""
BY_PATH = f'health = {{ path = "/healthz", {QUICK} }}'
HOPS = {
    "plaintext": 'tls = "plaintext"',
    "reencrypt": 'tls = "reencrypt"\nverify = {{ ca = "{pki}/internal-ca.pem", name = "backend.internal"{more} }}',
    "mutual": 'tls = "mutual"\npresent = "edge"\nverify = {{ ca = "{pki}/internal-ca.pem", name = "backend.internal" }}',
}
VERSIONS = pytest.mark.parametrize("most", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


def route(pki: Pki, pattern: str, port: int, health: str = BY_PATH, more: str = "") -> str:
    hop = HOPS[pattern].format(pki=pki.folder, more=more)
    return f'[[route]]\nname = "r"\nhost = "a.test"\n{hop}\nto = ["127.0.0.1:{port}"]\n{health}\n'


def serves(raw: Raws, pki: Pki, pattern: str, script: Any) -> Raw:
    clients = pki.internal.file if pattern == "mutual" else None
    return raw(script, None if pattern == "plaintext" else pki.backend, clients=clients)


def backend(it: EdgeKit) -> dict[str, Any]:
    found: dict[str, Any] = it.status()["routes"][0]["backends"][0]
    return found


def passes(it: EdgeKit, more: int) -> None:
    """So many more, none of which failed."""
    wanted = backend(it)["check"]["passed"] + more
    until(lambda: backend(it)["check"]["passed"] >= wanted or None, 60, told=lambda: str(backend(it)), pause_s=0.2)


def is_down(it: EdgeKit, refused: str | None) -> None:
    def found() -> bool | None:
        now = backend(it)
        return (now["state"] == "down" and now["check"]["refused"] == refused) or None

    until(found, 90, told=lambda: str(backend(it)), pause_s=0.2)


def asked(served: Raw) -> list[int]:
    """How often over each connection."""
    return [bytes(record).count(ASKED) for record in list(served.records)]


def longest(served: Raw) -> Record:
    """The connection over which most was asked."""
    return max(list(served.records), key=lambda record: bytes(record).count(ASKED))


def often(served: Raw, times: int = 3) -> None:
    until(lambda: max(asked(served), default=0) >= times or None, 60, told=lambda: str(asked(served)))


def often_before(ends: dt.datetime, served: Raw, begun: int = 0) -> None:
    """Twice over one connection of those after `begun`, before then."""

    def found() -> bool | None:
        assert dt.datetime.now(dt.UTC) < ends, asked(served)
        return max(asked(served)[begun:], default=0) >= 2 or None

    until(found, 300)


def status(it: EdgeKit) -> int:
    with tls(it.port, "a.test", it.pki.public.file) as sock:
        return exchange(sock, GET).status


def most(them: Iterable[object]) -> int:
    """How often the most frequent of them comes."""
    return max(Counter(them).values(), default=0)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 16384\r\n\r\n" + b"a" * 16384


@pytest.mark.parametrize("pattern", list(HOPS))
@pytest.mark.parametrize("answer", [OK, CHUNKED, LONG], ids=["short", "chunked", "long"])
def test_several_checks_are_asked_over_one_connection(
    edge: Edges, pki: Pki, raw: Raws, pattern: str, answer: bytes
) -> None:
    served = serves(raw, pki, pattern, answering(answer))
    it = edge(route(pki, pattern, served.port))
    often(served)
    first = bytes(longest(served))
    assert b"user-agent: everyhop-health" in first and b"connection:" not in first.lower(), first
    now = backend(it)
    assert (now["state"], now["open"], now["check"]["failed"]) == ("up", 0, 0), "nor is it a client's"


@pytest.mark.parametrize("asks", ['path = "/healthz"', 'grpc = "shop.Orders"'])
def test_several_checks_are_asked_over_one_connection_of_http2(edge: Edges, pki: Pki, raw: Raws, asks: str) -> None:
    def on(spoken: Spoken, asked: Asked, event: object) -> None:
        if not asked.ended:
            return
        if asked.fields[b":path"] == b"/healthz":
            return spoken.answer(asked.stream)
        spoken.h2.send_headers(asked.stream, [(b":status", b"200"), (b"content-type", b"application/grpc")])
        spoken.h2.send_data(asked.stream, b"\0\0\0\0\2\x08\1")
        spoken.h2.send_headers(asked.stream, [(b"grpc-status", b"0")], end_stream=True)

    script = H2Backend(on)
    served = raw(script, pki.backend, alpn=["h2"])
    health = f'upstream_protocol = "h2"\nhealth = {{ {asks}, {QUICK} }}'
    it = edge(route(pki, "reencrypt", served.port, health))
    until(lambda: most(a.connection for a in list(script.asked)) >= 3 or None, 60, told=lambda: str(backend(it)))
    assert backend(it)["check"]["failed"] == 0


def test_a_real_server_of_grpc_is_asked_over_one_connection(edge: Edges, pki: Pki) -> None:
    peers = list[str]()

    class Health(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, details: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(self.check)

        def check(self, request: bytes, context: Any) -> bytes:
            peers.append(context.peer())
            return b"\x08\x01"

    server = grpc.server(ThreadPoolExecutor(4), handlers=(Health(),))
    pair = [(pki.backend.key.read_bytes(), pki.backend.chain.read_bytes())]
    clients = pki.internal.file.read_bytes()
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials(pair, clients, require_client_auth=True))
    server.start()
    try:
        it = edge(route(pki, "mutual", port, f'upstream_protocol = "h2"\nhealth = {{ grpc = "", {QUICK} }}'))
        until(lambda: most(list(peers)) >= 3 or None, 60, told=lambda: f"{peers} {backend(it)}")
        assert backend(it)["check"]["failed"] == 0
    finally:
        server.stop(None).wait(5)


def once(sock: socket.socket, record: bytearray) -> None:
    """Closes behind its answer, which does not say so."""
    if head(sock, record) is not None:
        sock.sendall(OK)


def twice(sock: socket.socket, record: bytearray) -> None:
    """Closes as the second question comes, which has no answer."""
    once(sock, record)
    head(sock, record)


def timed_out(sock: socket.socket, record: bytearray) -> None:
    twice(sock, record)
    sock.sendall(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize("pattern", list(HOPS))
@pytest.mark.parametrize("script", [once, twice, timed_out])
def test_a_backend_that_closes_the_connection_between_checks_is_up_all_the_same(
    edge: Edges, pki: Pki, raw: Raws, pattern: str, script: Any
) -> None:
    served = serves(raw, pki, pattern, script)
    it = edge(route(pki, pattern, served.port))
    passes(it, 4)
    now = backend(it)
    assert (now["state"], now["check"]["failed"], now["last_failure"]) == ("up", 0, None), now
    assert len(served.records) >= 4, "each is asked afresh"
    if script is once:
        return
    assert any(times == 2 for times in asked(served)), "a second question was met by the end"


def test_one_that_ends_its_connection_of_http2_as_the_next_check_comes_is_up_all_the_same(
    edge: Edges, pki: Pki, raw: Raws
) -> None:
    def on(spoken: Spoken, asked: Asked, event: object) -> None:
        if not asked.ended:
            return
        if asked.stream == 1:
            spoken.answer(1)
        else:
            spoken.h2.close_connection(h2.errors.ErrorCodes.NO_ERROR, last_stream_id=1)

    script = H2Backend(on)
    served = raw(script, pki.backend, alpn=["h2"])
    it = edge(route(pki, "reencrypt", served.port, f'upstream_protocol = "h2"\n{BY_PATH}'))
    passes(it, 4)
    assert backend(it)["check"]["failed"] == 0 and script.connections >= 3
    assert any(a.stream == 3 for a in script.asked), "there was a second question"


@pytest.mark.parametrize(
    "answer",
    [
        OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        OK.replace(b"\r\n\r\n", b"\r\nKeep-Alive: timeout=1\r\n\r\n"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 16385\r\n\r\n" + b"a" * 16385,
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
        OK + b"more",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ],
    ids=["closes", "closes soon", "too long", "has no end", "says more", "old"],
)
def test_over_a_connection_that_cannot_take_another_answer_nothing_more_is_asked(
    edge: Edges, pki: Pki, raw: Raws, answer: bytes
) -> None:
    served = serves(raw, pki, "reencrypt", answering(answer))
    it = edge(route(pki, "reencrypt", served.port))
    passes(it, 4)
    assert backend(it)["check"]["failed"] == 0
    assert max(asked(served)) == 1


def test_what_is_no_health_is_asked_afresh_each_time_until_it_is_well(edge: Edges, pki: Pki, raw: Raws) -> None:
    sick = OK.replace(b"200 OK", b"503 No")
    served = serves(raw, pki, "reencrypt", answering(sick))
    it = edge(route(pki, "reencrypt", served.port))
    until(lambda: backend(it)["check"]["failed"] >= 4 or None, 60)
    assert max(asked(served)) == 1 and backend(it)["state"] == "down"
    served.script = answering(OK)
    often(served)
    until(lambda: backend(it)["state"] == "up" or None, 60)


def test_a_check_of_connections_opens_one_each_time_and_keeps_none(edge: Edges, pki: Pki, raw: Raws) -> None:
    served = serves(raw, pki, "mutual", answering(OK))
    it = edge(route(pki, "mutual", served.port, f"health = {{ connect = true, {QUICK} }}"))
    passes(it, 3)
    until(lambda: sum(record.ended for record in list(served.records)) >= 3 or None, 60)
    assert not served.received


def test_one_that_is_asked_once_a_minute_or_less_is_told_that_its_connection_ends(
    edge: Edges, pki: Pki, raw: Raws
) -> None:
    served = serves(raw, pki, "plaintext", answering(OK))
    edge(route(pki, "plaintext", served.port, 'health = { path = "/healthz", every_s = 60, timeout_s = 20 }'))
    until(lambda: ASKED in served.received or None, 60)
    until(lambda: b"\r\nconnection: close\r\n\r\n" in served.received or None, 20)
    until(lambda: served.records[0].ended or None, 20)


@VERSIONS
def test_whose_connection_is_new_shows_its_certificate_whatever_session_it_might_take_up(
    edge: Edges, pki: Pki, raw: Raws, most: ssl.TLSVersion
) -> None:
    """Requests do take one up."""
    resumed: dict[str, list[bool]] = {"/": [], "/healthz": []}

    def looks(sock: socket.socket, record: bytearray) -> None:
        found = head(sock, record)
        if found is not None:
            assert isinstance(sock, ssl.SSLSocket)
            resumed[found.split()[1].decode()].append(bool(sock.session_reused))
            sock.sendall(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))

    served = serves(raw, pki, "reencrypt", looks)
    assert served.context is not None
    served.context.maximum_version = most
    it = edge(route(pki, "reencrypt", served.port))
    assert [status(it) for _ in range(4)] == [200] * 4
    passes(it, 3)
    assert True in resumed["/"] and True not in resumed["/healthz"], resumed


@VERSIONS
def test_another_certificate_behind_the_same_address_is_found_by_the_next_check_after_a_restart(
    edge: Edges, pki: Pki, raw: Raws, most: ssl.TLSVersion
) -> None:
    served = serves(raw, pki, "reencrypt", answering(OK))
    assert served.context is not None
    served.context.maximum_version = most
    it = edge(route(pki, "reencrypt", served.port))
    often(served, 2)
    restarts(served, server_context(pki.other))
    is_down(it, "hop/name-mismatch")
    assert backend(it)["impostor"]
    before = served.received
    assert status(it) == 502 and served.received == before
    restarts(served, server_context(pki.backend))
    until(lambda: backend(it)["state"] == "up" or None, 60)
    assert status(it) == 200


def restarts(served: Raw, context: ssl.SSLContext) -> None:
    served.context = context
    for record in list(served.records):
        if record.sock is not None and record.sock.fileno() >= 0:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(record.sock, socket.SHUT_RDWR)


def test_what_a_request_finds_out_is_not_answered_by_a_connection_that_was_kept(
    edge: Edges, pki: Pki, raw: Raws
) -> None:
    """What answered the checks is still there and well; who comes now meets another."""
    served = serves(raw, pki, "reencrypt", answering(OK))
    it = edge(route(pki, "reencrypt", served.port))
    often(served, 2)
    served.context = server_context(pki.other)
    assert status(it) == 502
    it.line(lambda line: line["end"] == "hop/name-mismatch")
    is_down(it, "hop/name-mismatch")


@pytest.mark.thorough
def test_another_certificate_behind_the_same_address_is_found_within_a_minute_by_checks_alone(
    edge: Edges, pki: Pki, raw: Raws
) -> None:
    served = serves(raw, pki, "mutual", answering(OK))
    it = edge(route(pki, "mutual", served.port))
    often(served, 2)
    served.context = server_context(pki.other, clients=pki.internal.file)
    is_down(it, "hop/name-mismatch")
    assert b"\r\nconnection: close\r\n" in bytes(longest(served)), "the last check over it said so"


def test_a_certificate_that_ends_while_the_connection_is_kept_takes_the_backend_down(
    edge: Edges, pki: Pki, raw: Raws, tmp_path: Path
) -> None:
    by = root(pki.internal)

    def checked(ends: dt.datetime) -> tuple[EdgeKit, Raw]:
        lasts = ends - dt.datetime.now(dt.UTC)
        mine = forged("backend.internal", by, names=["backend.internal"], ends=lasts)
        served = raw(answering(OK), saved(tmp_path, "mine", mine, by))
        it = edge(route(pki, "reencrypt", served.port))
        often_before(ends, served)
        assert backend(it)["check"]["failed"] == 0
        return it, served

    it, served = in_time(checked, 10)
    is_down(it, "hop/certificate-expired")
    over = sum(asked(served))
    failed = backend(it)["check"]["failed"]
    until(lambda: backend(it)["check"]["failed"] > failed + 1 or None, 60)
    assert sum(asked(served)) == over, "it is not asked anything more"


def test_a_revocation_list_that_ends_or_names_it_while_the_connection_is_kept_takes_the_backend_down(
    edge: Edges, pki: Pki, raw: Raws, tmp_path: Path
) -> None:
    by = root(pki.internal)
    mine = forged("backend.internal", by, names=["backend.internal"])
    served = raw(answering(OK), saved(tmp_path, "mine", mine, by))

    def checked(ends: dt.datetime) -> EdgeKit:
        lists = crl(tmp_path / "list.pem", by, ends=ends - dt.datetime.now(dt.UTC))
        before = len(served.records)
        it = edge(route(pki, "reencrypt", served.port, more=f', crl = "{lists}"'))
        often_before(ends, served, before)
        assert backend(it)["check"]["failed"] == 0
        return it

    it = in_time(checked, 10)
    is_down(it, None)
    assert "a revocation list of the route is overdue" in backend(it)["check"]["seen"]
    crl(tmp_path / "list.pem", by)
    until(lambda: backend(it)["state"] == "up" or None, 60)
    often(served, 2)
    crl(tmp_path / "list.pem", by, mine.cert)
    is_down(it, "hop/revoked")


def test_a_plan_that_changes_the_hop_ends_what_was_kept_of_the_old_and_no_other_does(
    edge: Edges, pki: Pki, raw: Raws
) -> None:
    served = serves(raw, pki, "mutual", answering(OK))
    it = edge(route(pki, "mutual", served.port))
    often(served, 2)
    first = longest(served)
    before = bytes(first).count(ASKED)
    assert it.reload(route(pki, "mutual", served.port, f"{BY_PATH}\nwebsocket = false"))["reloaded"]
    until(lambda: bytes(first).count(ASKED) > before or None, 20)
    assert it.reload(route(pki, "reencrypt", served.port))["reloaded"]
    until(lambda: first.ended or None, 20)

"""Requests become spans: told to a collector over a hop as any other, judged there by the protocol's own classes and at a backend
that records which trace it was told."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from h2.events import Event, StreamEnded

from everyhop.demo.backends import Backend
from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.h2_backend import Asked, H2Backend, Spoken
from tests.kit.otlp import Collector
from tests.kit.raw import OK, Record, answering, head
from tests.threats.talk import PROTOCOLS, Talk, arrivals

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
GET = "GET /cart?secret=1 HTTP/1.1\r\nHost: a.test\r\n\r\n"
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACE, SPAN = PARENT.split("-")[1:3]
TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-(0[01])\Z")
HOPS = {
    "plaintext": 'tls = "plaintext"',
    "reencrypt": 'tls = "reencrypt"\nverify = {{ ca = "{pki}/internal-ca.pem", name = "backend.internal" }}',
    "mutual": 'tls = "mutual"\npresent = "edge"\nverify = {{ ca = "{pki}/internal-ca.pem", name = "backend.internal" }}',
}


@pytest.fixture
def opened() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


def collects(opened: contextlib.ExitStack, pki: Pki, pattern: str = "plaintext", port: int = 0) -> Collector:
    leaf = None if pattern == "plaintext" else pki.backend
    it = Collector(leaf, pki.internal.file if pattern == "mutual" else None, port=port)
    opened.callback(it.close)
    return it


def told(pki: Pki, port: int, pattern: str = "plaintext", more: str = "ratio = 1.0") -> str:
    hop = HOPS[pattern].format(pki=pki.folder)
    return f'[[collector]]\nname = "otel"\nto = ["127.0.0.1:{port}"]\n{hop}\n[traces]\ncollector = "otel"\n{more}\n'


def route(port: int, more: str = "", host: str = "a.test") -> str:
    name = host.partition(".")[0]
    return f'[[route]]\nname = "{name}"\nhost = "{host}"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n{more}\n'


def ask(it: EdgeKit, pki: Pki, request: str = GET, host: str = "a.test") -> int:
    with tls(it.port, host, pki.public.file) as sock:
        return exchange(sock, request.replace("a.test", host)).status


def answered(spoken: Spoken, asked: Asked, event: Event) -> None:
    if isinstance(event, StreamEnded):
        spoken.answer(asked.stream)


def fields_of(raw: Raw) -> list[dict[str, list[str]]]:
    """Of each request that came."""
    out = []
    for it in arrivals([bytes(record) for record in raw.records]):
        fields: dict[str, list[str]] = {}
        for name, said in it.fields:
            fields.setdefault(name, []).append(said)
        out.append(fields)
    return out


@pytest.mark.parametrize("pattern", HOPS)
def test_a_request_and_its_try_are_spans_that_a_collector_is_told_over_a_hop_of_that_pattern(
    edge: Edges, pki: Pki, opened: contextlib.ExitStack, pattern: str
) -> None:
    to = collects(opened, pki, pattern)
    backend = Backend("b", pki.backend, clients=pki.internal.file, demands=True)
    opened.callback(backend.close)
    behind = HOPS["mutual"].format(pki=pki.folder)
    way = f'[[route]]\nname = "shop"\nhost = "a.test"\n{behind}\nto = ["127.0.0.1:{backend.port}"]\n'
    more = 'ratio = 1.0\nservice = "edge-one"\nattributes = { "deployment.environment.name" = "test" }'
    it = edge(told(pki, to.port, pattern, more) + way)
    before_ns = time.time_ns()
    assert ask(it, pki) == 200
    server, client = to.whole(2)
    after_ns = time.time_ns()
    assert server.resource == {"service.name": "edge-one", "deployment.environment.name": "test"}
    assert (server.name, server.parent, client.kind, client.parent) == ("GET shop", "", "client", server.id)
    assert (
        before_ns - 10**9 <= server.began_ns <= client.began_ns < client.ended_ns <= server.ended_ns <= after_ns + 10**9
    )
    assert not server.failed and not client.failed
    line = it.line(lambda line: line["path"] == "/cart")
    assert line["trace_id"] == server.trace
    expected = {
        "http.request.method": "GET",
        "url.scheme": "https",
        "url.path": "/cart",
        "server.address": "a.test",
        "client.address": "127.0.0.1",
        "network.protocol.version": "1.1",
        "http.response.status_code": 200,
        "tls.protocol.version": "1.3",
        "everyhop.route": "shop",
        "everyhop.pattern": "mutual",
        "everyhop.end": "done",
        "everyhop.request.id": line["id"],
        "everyhop.plan": line["plan"],
    }
    assert {name: server.said.get(name) for name in expected} == expected
    hop = line["backend_hop"]
    expected = {
        "server.address": "127.0.0.1",
        "server.port": backend.port,
        "url.full": "https://a.test/cart",
        "http.response.status_code": 200,
        "everyhop.hop.tls": "mutual",
        "everyhop.hop.identity": "demanded",
        "everyhop.hop.reused": False,
        "everyhop.server.names": ["backend.internal"],
        "tls.protocol.version": hop["version"],
        "tls.cipher": hop["suite"],
        "tls.curve": hop["group"],
        "tls.resumed": False,
        "tls.server.hash.sha256": hop["peer"]["sha256"].upper(),
    }
    assert {name: client.said.get(name) for name in expected} == expected
    assert "secret" not in str(to.spans), "no query"
    assert to.paths[0] == "/v1/traces"
    who = {"plaintext": "nobody (no TLS here)", "reencrypt": "nobody (no certificate)", "mutual": "edge.internal"}
    assert set(to.callers) == {who[pattern]}
    # What the backend was told is the try, so that its own spans hang below it.
    (found,) = [TRACEPARENT.match(seen["traceparent"]) for seen in backend.seen]
    assert found and found.groups() == (server.trace, client.id, "01")


@pytest.mark.parametrize("spoken", PROTOCOLS)
@pytest.mark.parametrize("backend", ["http/1.1", "h2"])
def test_who_is_trusted_in_it_goes_on_with_its_trace_and_anybody_else_begins_one(
    edge: Edges, pki: Pki, opened: contextlib.ExitStack, raw: Raws, spoken: str, backend: str
) -> None:
    to = collects(opened, pki)
    script, own = H2Backend(answered), Backend("b")
    opened.callback(own.close)
    port = raw(script).port if backend == "h2" else own.port

    def seen() -> list[dict[str, str]]:
        return own.seen or [{k.decode(): v.decode() for k, v in asked.fields.items()} for asked in script.asked]

    trusted = 'trusted_proxies = { networks = ["127.0.0.9/32"], believe = ["trace-context"] }'
    it = edge(told(pki, to.port) + route(port, f'upstream_protocol = "{backend}"'), listener=trusted)
    given = [(b"traceparent", PARENT.encode()), (b"tracestate", b"a=1"), (b"tracestate", b"b=2")]
    for source in ("127.0.0.9", "127.0.0.1"):
        with Talk(it.port, pki, "a.test", spoken, source) as talk:
            assert talk.ask(f"/{source}".encode(), *given).status == 200
    server, client = to.whole(2, **{"url.path": "/127.0.0.9"})
    assert (server.trace, server.parent, server.state) == (TRACE, SPAN, "a=1,b=2")
    assert server.flags & 0x300 == 0x300, "its parent is another's"
    anew, _ = to.whole(2, **{"url.path": "/127.0.0.1"})
    assert anew.trace != TRACE and not anew.parent and not anew.state
    assert anew.said["everyhop.client.traceparent"] == PARENT
    first, second = [fields["traceparent"] for fields in seen()]
    assert first == f"00-{TRACE}-{client.id}-01"
    assert TRACE not in second and [fields.get("tracestate") for fields in seen()] == ["a=1,b=2", None]


def test_nothing_that_a_request_or_its_answer_holds_is_told(
    edge: Edges, pki: Pki, raw: Raws, opened: contextlib.ExitStack
) -> None:
    """Whether it goes well or is refused; but for what its fields say of a trace."""
    to = collects(opened, pki)
    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=secret\r\nX-Secret: secret\r\nContent-Length: 6\r\n\r\nsecret"
    it = edge(told(pki, to.port) + route(raw(answering(answer)).port, "limits = { body_bytes = 9 }"))
    sent = "Host: a.test\r\nAuthorization: Bearer secret\r\nCookie: b=secret\r\nUser-Agent: secret\r\nReferer: https://secret/"
    for length, status in ((6, 200), (10, 413)):
        head = f"POST /?secret HTTP/1.1\r\n{sent}\r\nTraceparent: {PARENT}\r\nContent-Length: {length}\r\n\r\n"
        assert ask(it, pki, head + "secret"[:length] + "x" * (length - 6)) == status
    spans = until(lambda: to.spans if len(to.spans) == 3 else None)
    assert "secret" not in str(spans)
    assert [s.said["everyhop.client.traceparent"] for s in spans if not s.parent] == [PARENT] * 2


def test_without_traces_what_a_client_says_of_its_trace_goes_on_as_it_came(edge: Edges, pki: Pki, raw: Raws) -> None:
    backend = raw(answering(OK, OK))
    it = edge(route(backend.port))
    said = f"traceparent: {PARENT}\r\ntracestate: A=1\r\n"
    assert ask(it, pki, f"GET / HTTP/1.1\r\nHost: a.test\r\n{said}\r\n") == 200
    (fields,) = fields_of(backend)
    assert (fields["traceparent"], fields["tracestate"]) == ([PARENT], ["A=1"])
    assert it.line(lambda line: line["path"] == "/")["trace_id"] is None


def test_a_route_may_be_left_out_or_have_a_share_of_its_own(
    edge: Edges, pki: Pki, opened: contextlib.ExitStack, raw: Raws
) -> None:
    to = collects(opened, pki)
    backend, other = raw(answering(OK, OK)), raw(answering(OK))
    it = edge(
        told(pki, to.port, more="ratio = 0.0")
        + route(backend.port, "traces = false")
        + route(other.port, "traces = 1.0", "b.test")
    )
    assert ask(it, pki, f"GET / HTTP/1.1\r\nHost: a.test\r\ntraceparent: {PARENT}\r\n\r\n") == 200
    assert ask(it, pki, "GET /b HTTP/1.1\r\nHost: b.test\r\n\r\n", "b.test") == 200
    assert to.whole(2)[0].said["url.path"] == "/b"
    assert [fields["traceparent"] for fields in fields_of(backend)] == [[PARENT]]
    lines = {line["host"]: line["trace_id"] for line in it.all_lines() if line["host"]}
    assert lines["a.test"] is None and lines["b.test"] == to.spans[0].trace
    assert {span.trace for span in to.spans} == {lines["b.test"]}, "nothing of the other one"


def test_what_went_otherwise_than_it_should_is_told_whatever_the_share(
    edge: Edges, pki: Pki, opened: contextlib.ExitStack, raw: Raws
) -> None:
    to = collects(opened, pki)
    held = threading.Event()

    def late(sock: socket.socket, record: Record) -> None:
        head(sock, record)
        held.wait(0.4)  # nobody ends it sooner
        sock.sendall(OK)

    slow = raw(late)
    failing = raw(answering(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"))
    dead = free_port()
    fine = raw(answering(OK))
    it = edge(
        told(pki, to.port, more="ratio = 0.0\nslow_s = 0.3")
        + route(slow.port, 'path = "/slow"')
        + route(failing.port, 'path = "/failing"').replace('name = "a"', 'name = "failing"')
        + route(dead, 'path = "/dead"').replace('name = "a"', 'name = "dead"')
        + route(fine.port, 'path = "/fine"').replace('name = "a"', 'name = "fine"')
    )
    for path, status in (("fine", 200), ("slow", 200), ("failing", 500), ("dead", 502), ("unknown", 404)):
        assert ask(it, pki, f"GET /{path} HTTP/1.1\r\nHost: a.test\r\n\r\n") == status
    server, _ = to.whole(2, **{"url.path": "/slow"})
    assert not server.failed and server.flags & 1 == 0, "nobody behind was told to keep it"
    server, client = to.whole(2, **{"url.path": "/failing"})
    assert server.failed and client.failed and server.said["error.type"] == client.said["error.type"] == "500"
    server, client = to.whole(2, **{"url.path": "/dead"})
    assert server.failed and client.failed and client.said["error.type"] == "hop/connect-failed"
    assert server.said["everyhop.end"] == "hop/connect-failed" and server.said["http.response.status_code"] == 502
    (server,) = to.whole(1, **{"url.path": "/unknown"})
    assert not server.failed and server.said["everyhop.end"] == "request/not-found"
    it.all_lines()
    assert {span.said.get("url.path") for span in to.spans if span.kind == "server"} == {
        "/slow",
        "/failing",
        "/dead",
        "/unknown",
    }


def test_each_try_is_a_span_and_a_backend_hears_the_number_of_its_own(
    edge: Edges, pki: Pki, opened: contextlib.ExitStack, raw: Raws
) -> None:
    to = collects(opened, pki)
    unwell = raw(answering(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"))
    well = raw(answering(OK))
    way = f'[[route]]\nname = "a"\nhost = "a.test"\ntls = "plaintext"\nto = [{{ at = "127.0.0.1:{unwell.port}", weight = 1000 }}, {{ at = "127.0.0.1:{well.port}", backup = true }}]\nretries = {{ on = [503] }}\n'
    # A backup is asked only where no other is up: the first is left out for having answered so.
    it = edge(told(pki, to.port) + way)
    assert ask(it, pki) == 200
    server, first, second = to.whole(3)
    assert (first.failed, second.failed, server.failed) == (True, False, False)
    assert second.said["http.request.resend_count"] == 1 and first.parent == second.parent == server.id
    heard = [TRACEPARENT.match(fields["traceparent"][0]) for of in (unwell, well) for fields in fields_of(of)]
    assert [it.group(2) for it in heard if it] == [first.id, second.id]
    assert first.ended_ns <= second.began_ns


def test_a_collector_that_is_slow_or_gone_costs_no_request_and_is_told_as_trouble(
    edge: Edges, pki: Pki, opened: contextlib.ExitStack
) -> None:
    to = collects(opened, pki)
    backend = Backend("b")
    opened.callback(backend.close)
    status = free_port()
    it = edge(told(pki, to.port) + route(backend.port), more=f'[status]\nbind = "127.0.0.1:{status}"\n')
    to.stalls.set()
    took = []
    for _ in range(50):
        began = time.monotonic()
        assert ask(it, pki) == 200
        took.append(time.monotonic() - began)
    until(lambda: to.asked > 0 or None)
    assert sorted(took)[25] < 5, "none waits for the collector, which says nothing for as long as it is asked"
    to.close()
    for _ in range(10):
        assert ask(it, pki) == 200

    def kinds() -> list[str]:
        return [trouble["kind"] for trouble in it.admin("status")["supervisor"]["troubles"]]

    until(lambda: "traces-undelivered" in kinds() or None, 60, lambda: str(it.admin("status")))
    again = collects(opened, pki, port=to.port)
    until(lambda: "traces-undelivered" not in kinds() or None, 60)
    until(lambda: len([s for s in again.spans if s.kind == "server"]) == 60 or None, 60, lambda: str(len(again.spans)))
    # What came is counted once the collector's answer is back.
    told_of = until(
        lambda: found if (found := it.status()["traces"])["sent"] == 120 else None,
        60,
        lambda: str(it.status()["traces"]),
    )
    assert told_of["waiting"] == 0 and not any(told_of["dropped"].values()), told_of


def test_what_a_collector_says_is_heard_try_later_never_and_some_of_them(
    edge: Edges, pki: Pki, opened: contextlib.ExitStack
) -> None:
    to = collects(opened, pki)
    backend = Backend("b")
    opened.callback(backend.close)
    it = edge(told(pki, to.port) + route(backend.port))

    def told_of() -> dict[str, Any]:
        found: dict[str, Any] = it.status()["traces"]
        return found

    to.status, to.fields = 503, {"retry-after": "1"}
    assert ask(it, pki) == 200
    until(lambda: told_of()["failed"] >= 1 or None)
    to.status, to.fields = 200, {}
    to.whole(2)
    to.status = 400
    assert ask(it, pki) == 200
    until(lambda: told_of()["dropped"]["refused"] == 2 or None, told=lambda: str(told_of()))
    to.status, to.rejects = 200, 1
    assert ask(it, pki) == 200
    until(lambda: told_of()["dropped"]["rejected"] == 1 or None, told=lambda: str(told_of()))
    assert told_of()["sent"] == 3 and told_of()["trouble"] is None


def test_a_collector_that_is_not_who_it_should_be_is_told_nothing(
    edge: Edges, pki: Pki, opened: contextlib.ExitStack
) -> None:
    to = Collector(pki.other)
    opened.callback(to.close)
    backend = Backend("b")
    opened.callback(backend.close)
    it = edge(told(pki, to.port, "reencrypt") + route(backend.port))
    assert ask(it, pki) == 200
    found = until(lambda: it.status()["traces"]["trouble"])
    assert "hop/name-mismatch" in found, found
    assert to.asked == 0


def test_a_reload_to_another_collector_keeps_what_waits_and_sends_it_there(
    edge: Edges, pki: Pki, opened: contextlib.ExitStack
) -> None:
    backend = Backend("b")
    opened.callback(backend.close)
    it = edge(told(pki, free_port()) + route(backend.port))
    assert ask(it, pki) == 200
    until(lambda: it.status()["traces"]["failed"] >= 1 or None)
    to = collects(opened, pki)
    assert it.reload(told(pki, to.port) + route(backend.port))["reloaded"]
    assert [span.kind for span in to.whole(2)] == ["server", "client"]
    assert it.reload(route(backend.port))["reloaded"]
    assert it.status()["traces"] is None and ask(it, pki) == 200


def test_an_edge_that_leaves_tells_what_it_has(edge: Edges, pki: Pki, opened: contextlib.ExitStack) -> None:
    to = collects(opened, pki)
    backend = Backend("b")
    opened.callback(backend.close)
    it = edge(told(pki, to.port) + route(backend.port))
    assert ask(it, pki) == 200
    it.all_lines()
    assert [s.kind for s in to.spans] == ["server", "client"]


def test_a_head_that_is_none_is_told_as_refused(edge: Edges, pki: Pki, opened: contextlib.ExitStack) -> None:
    to = collects(opened, pki)
    it = edge(told(pki, to.port, more="ratio = 0.0") + route(free_port()))
    assert ask(it, pki, "GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n") == 400
    (server,) = until(lambda: to.spans or None)
    assert server.said["http.response.status_code"] == 400 and "everyhop.route" not in server.said

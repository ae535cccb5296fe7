"""The receiver of the OpenTelemetry Collector, built by Go from its modules, takes the spans that the edge sends it over TLS: what
we write by hand is read by those whom everybody sends to."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from everyhop.demo.backends import Backend
from everyhop.demo.stage import free_port
from tests.applications import peer
from tests.kit import EdgeKit, Pki, exchange, tls
from tests.kit.edge import until

HOPS = {
    "reencrypt": 'tls = "reencrypt"\nverify = {{ ca = "{pki}/internal-ca.pem", name = "backend.internal" }}',
    "mutual": 'tls = "mutual"\npresent = "edge"\nverify = {{ ca = "{pki}/internal-ca.pem", name = "backend.internal" }}',
}
EDGE = """
[[collector]]
name = "otel"
to = ["127.0.0.1:{collector}"]
{hop}
[traces]
collector = "otel"
ratio = 1.0
[[route]]
name = "shop"
host = "a.test"
to = ["127.0.0.1:{backend}"]
{hop}
"""
CLIENTS, MORE = 4, 250
"""So many requests of each, in each of three times, are less than the queue of spans has room for: none may be missing."""


class Receiver:
    """The process, which may be killed and begun again at its port, and what it took of all that time."""

    def __init__(self, pki: Pki, pattern: str, stack: contextlib.ExitStack) -> None:
        self.port, self.stack = free_port(), stack
        secured = {"cert_file": str(pki.backend.chain), "key_file": str(pki.backend.key)}
        if pattern == "mutual":
            secured["client_ca_file"] = str(pki.internal.file)
        self.said = json.dumps({"protocols": {"http": {"endpoint": f"127.0.0.1:{self.port}", "tls": secured}}})
        self.took: list[dict[str, Any]] = []
        self.begin()

    def begin(self) -> None:
        ready = threading.Event()
        self.process = subprocess.Popen(
            [peer.collector(), self.said], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        threading.Thread(target=self.read, args=(self.process, ready), daemon=True).start()
        self.stack.callback(self.kill, self.process)
        assert ready.wait(60), self.process.poll()

    def read(self, process: subprocess.Popen[str], ready: threading.Event) -> None:
        assert process.stdout
        for line in process.stdout:
            # A line that it was killed in the midst of is one of a message that it did not answer.
            if line == '"ready"\n':
                ready.set()
            elif line.endswith("\n"):
                self.took.append(json.loads(line))
        process.stdout.close()

    def kill(self, process: subprocess.Popen[str] | None = None) -> None:
        process = process or self.process
        process.kill()
        process.wait()
        assert process.stdin
        process.stdin.close()

    def spans(self) -> list[dict[str, Any]]:
        of = [resource for message in list(self.took) for resource in message["resourceSpans"]]
        return [span for resource in of for scope in resource["scopeSpans"] for span in scope["spans"]]


@pytest.fixture
def opened() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


def begun(opened: contextlib.ExitStack, pki: Pki, pattern: str) -> tuple[Receiver, EdgeKit]:
    receiver = Receiver(pki, pattern, opened)
    backend = Backend("shop", pki.backend, clients=pki.internal.file, demands=pattern == "mutual")
    opened.callback(backend.close)
    hop = HOPS[pattern].format(pki=pki.folder)
    edge = EdgeKit(pki, EDGE.format(collector=receiver.port, backend=backend.port, hop=hop))
    opened.callback(edge.close)
    return receiver, edge


def said(span: dict[str, Any]) -> dict[str, Any]:
    """What it says, by name, as OTLP's JSON has it: numbers of 64 bits are text."""
    return {it["key"]: next(iter(it["value"].values())) for it in span["attributes"]}


@pytest.mark.parametrize("pattern", HOPS)
def test_the_collector_takes_a_request_and_its_try_with_what_tls_came_to_on_each_hop(
    opened: contextlib.ExitStack, pki: Pki, pattern: str
) -> None:
    receiver, edge = begun(opened, pki, pattern)
    with tls(edge.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, "GET /cart HTTP/1.1\r\nHost: a.test\r\n\r\n").status == 200
    spans = until(
        lambda: receiver.spans() if len(receiver.spans()) == 2 else None, 60, lambda: str(edge.status()["traces"])
    )
    line = edge.line(lambda line: line["path"] == "/cart")
    server, client = sorted(spans, key=lambda span: int(span["kind"]))
    assert (server["kind"], client["kind"], client["parentSpanId"]) == (2, 3, server["spanId"])
    assert (server["name"], server["traceId"], client["traceId"]) == ("GET shop", line["trace_id"], line["trace_id"])
    assert int(server["startTimeUnixNano"]) <= int(client["startTimeUnixNano"]) < int(client["endTimeUnixNano"])
    came, hop = line["client_hop"], line["backend_hop"]
    expected = {
        "url.path": "/cart",
        "http.response.status_code": "200",
        "everyhop.pattern": pattern,
        "tls.protocol.version": came["version"],
        "tls.cipher": came["suite"],
        "tls.curve": came["group"],
    }
    assert {name: said(server).get(name) for name in expected} == expected
    expected = {
        "everyhop.hop.tls": pattern,
        "everyhop.hop.identity": hop["identity"],
        "everyhop.server.names": {"values": [{"stringValue": "backend.internal"}]},
        "tls.protocol.version": hop["version"],
        "tls.cipher": hop["suite"],
        "tls.curve": hop["group"],
        "tls.server.hash.sha256": hop["peer"]["sha256"].upper(),
    }
    assert {name: said(client).get(name) for name in expected} == expected
    assert (hop["identity"] == "demanded") == (pattern == "mutual") and hop["version"] == "1.3"
    (resource,) = {json.dumps(it["resource"]) for message in receiver.took for it in message["resourceSpans"]}
    assert said(json.loads(resource))["service.name"] == "everyhop"
    told = until(lambda: edge.status()["traces"] if edge.status()["traces"]["sent"] == 2 else None)
    assert (told["failed"], sum(told["dropped"].values())) == (0, 0)


def test_a_collector_that_asks_for_a_certificate_takes_nothing_from_who_shows_none(
    opened: contextlib.ExitStack, pki: Pki
) -> None:
    """And what stays for it is told once the hop is mended."""
    receiver = Receiver(pki, "mutual", opened)
    backend = Backend("shop", pki.backend)
    opened.callback(backend.close)
    hops = {name: it.format(pki=pki.folder) for name, it in HOPS.items()}
    both = {
        name: EDGE.format(collector=receiver.port, backend=backend.port, hop="{hop}").replace("{hop}", hop, 1)
        for name, hop in hops.items()
    }
    edge = EdgeKit(pki, both["reencrypt"].replace("{hop}", hops["reencrypt"]))
    opened.callback(edge.close)
    with tls(edge.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, "GET /cart HTTP/1.1\r\nHost: a.test\r\n\r\n").status == 200
    until(lambda: edge.status()["traces"]["failed"] >= 1 or None, 60, lambda: str(edge.status()["traces"]))
    assert not receiver.took
    assert edge.reload(both["mutual"].replace("{hop}", hops["reencrypt"]))["reloaded"]
    until(lambda: len(receiver.spans()) == 2 or None, 60, lambda: str(edge.status()["traces"]))


class Load:
    """Clients that ask and ask, each over one connection that nobody ends, up to so many requests as they are let."""

    def __init__(self, edge: EdgeKit, pki: Pki) -> None:
        self.edge, self.pki = edge, pki
        self.let, self.over = MORE, threading.Event()
        self.answers = [list[int]() for _ in range(CLIENTS)]
        self.threads = [threading.Thread(target=self.ask, args=(of,)) for of in self.answers]
        for thread in self.threads:
            thread.start()

    def ask(self, answers: list[int]) -> None:
        with tls(self.edge.port, "a.test", self.pki.public.file, kept=False) as sock:
            while not self.over.is_set():
                if len(answers) == self.let:
                    self.over.wait(0.01)
                else:
                    answers.append(exchange(sock, "GET /cart HTTP/1.1\r\nHost: a.test\r\n\r\n").status)

    def close(self) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive()


@pytest.mark.parametrize("pattern", HOPS)
def test_the_collector_is_killed_and_comes_back_under_load_and_no_request_and_no_span_is_lost(
    opened: contextlib.ExitStack, pki: Pki, pattern: str
) -> None:
    receiver, edge = begun(opened, pki, pattern)
    load = Load(edge, pki)
    opened.callback(load.close)

    def comes(what: str, look: Callable[[], object]) -> None:
        until(lambda: look() or None, 60, lambda: f"{what}: {list(map(len, load.answers))} {edge.status()['traces']}")

    comes("it is told", receiver.spans)
    receiver.kill()
    gone_at = time.monotonic()
    before = list(map(len, load.answers))
    load.let += MORE
    comes(
        "requests go on without it", lambda: all(len(of) > b + 20 for of, b in zip(load.answers, before, strict=True))
    )
    comes("the edge knows", lambda: edge.status()["traces"]["failed"] >= 1)
    taken = len(receiver.spans())
    load.let += MORE
    receiver.begin()
    comes("it is told again", lambda: len(receiver.spans()) > taken)
    was_soon = time.monotonic() - gone_at < 40
    load.close()
    assert [set(of) for of in load.answers] == [{200}] * CLIENTS
    asked = sum(map(len, load.answers))
    comes("all is told", lambda: edge.status()["traces"]["waiting"] == 0)
    told = edge.status()["traces"]
    dropped = told["dropped"]
    assert told["sent"] + sum(dropped.values()) == 2 * asked and told["trouble"] is None
    # What waits for a minute is dropped, and counted as that: a machine may be so slow.
    assert sum(dropped.values()) == (0 if was_soon else dropped["undelivered"]), told
    lines = [line for line in edge.all_lines() if line["path"] == "/cart"]
    assert len(lines) == asked and all(line["status"] == 200 for line in lines)
    # What it took and could not answer any more came again, as the same spans.
    kinds = {(span["spanId"], span["kind"], span["traceId"]) for span in receiver.spans()}
    traces = {line["trace_id"] for line in lines}
    if not sum(dropped.values()):
        assert [{t for _, kind, t in kinds if kind == of} for of in (2, 3)] == [traces] * 2 and len(kinds) == 2 * asked

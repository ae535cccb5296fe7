"""What a line says, where it goes, and what becomes of it when its file is gone, full or turned over: of each route by itself."""

from __future__ import annotations

import json
import os
import signal
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.h2_socket import Client
from tests.kit.logs import whole_lines
from tests.kit.raw import OK, answering

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]


@pytest.fixture
def backend(raw: Raws) -> Raw:
    return raw(answering(OK))


def route(name: str, port: int, more: str = "", path: str | None = None) -> str:
    return (
        f'[[route]]\nname = "{name}"\nhost = "a.test"\npath = "/{path or name}"\ntls = "plaintext"\n'
        f'to = ["127.0.0.1:{port}"]\n{more}\n'
    )


def ask(it: EdgeKit, pki: Pki, *paths: str, more: str = "") -> list[int]:
    with tls(it.port, "a.test", pki.public.file) as sock:
        return [exchange(sock, f"GET {path} HTTP/1.1\r\nHost: a.test\r\n{more}\r\n").status for path in paths]


def lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in whole_lines(log)]


def count(log: Path, n: int) -> list[dict[str, Any]]:
    """Its lines, once there are so many, and no more."""
    found = until(lambda: got if len(got := lines(log)) >= n else None, told=lambda: str(lines(log)))
    assert len(found) == n, found
    return found


# What a line says.


def test_a_line_has_the_fields_that_were_picked_in_their_order_and_status_and_where_have_all(
    edge: Edges, backend: Raw, pki: Pki
) -> None:
    fields = 'fields = ["status", "header:User-Agent", "route", "path", "header:x-none", "client_hop", "end"]'
    it = edge(route("r", backend.port), log=fields)
    assert ask(it, pki, "/r/x?q=1", more="User-Agent: one\r\nUser-Agent: two\r\nX-Other: s3cret\r\n") == [200]
    client = Client(it.port, pki.public.file)
    pseudo = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a.test"), (b":path", b"/r/y")]
    stream = client.ask([*pseudo, (b"user-agent", b'"\xff')], last=True)
    assert client.until(stream, lambda: stream.ended is not None).status == 200
    client.sock.close()
    assert ask(it, pki, "/nowhere", more="User-Agent: three\r\n") == [404]
    one, two, refused = count(it.log, 3)
    names = ["status", "header:user-agent", "route", "path", "header:x-none", "client_hop", "end"]
    assert [list(x) for x in (one, two, refused)] == [names] * 3
    assert (one["header:user-agent"], one["path"], one["header:x-none"]) == ("one, two", "/r/x", None)
    assert (two["header:user-agent"], two["status"], two["client_hop"]["alpn"]) == ('"ÿ', 200, "h2")
    assert (refused["route"], refused["header:user-agent"], refused["end"]) == (None, "three", "request/not-found")
    assert "s3cret" not in it.log.read_text()
    last = it.status()["routes"][0]["last"]
    assert last["backend_hop"]["at"] == f"127.0.0.1:{backend.port}" and "plan" in last
    told = it.cli("where", "a.test/r", "--config", str(it.config))
    assert "ended TLS 1.3" in told.stdout


def test_a_field_that_was_sent_once_is_not_told_of_the_next_request(edge: Edges, backend: Raw, pki: Pki) -> None:
    it = edge(route("r", backend.port), log='fields = ["path", "header:x-tenant"]')
    with tls(it.port, "a.test", pki.public.file) as sock:
        for path, more in (
            ("/r/1", "X-Tenant: blue\r\n"),
            ("/r/2", ""),
            ("/nowhere", ""),
            ("/r/%0", ""),
            ("/r/3", "X-Tenant: red\r\n"),
        ):
            exchange(sock, f"GET {path} HTTP/1.1\r\nHost: a.test\r\n{more}\r\n")
            if path == "/r/%0":
                break
    found = {x["path"]: x["header:x-tenant"] for x in count(it.log, 4)}
    assert found == {"/r/1": "blue", "/r/2": None, "/nowhere": None, "/r/%0": None}


# Where it goes.


def test_a_route_has_a_file_of_its_own_for_its_refusals_too_and_others_have_theirs(
    edge: Edges, backend: Raw, pki: Pki, tmp_path: Path
) -> None:
    own, shared = tmp_path / "own.log", tmp_path / "shared.log"
    allow = 'allow = { clients = ["nobody.test"] }\n'
    routes = (
        route("own", backend.port, f'log = {{ to = "{own}", fields = ["route", "end", "header:host"] }}')
        + route("closed", backend.port, f'{allow}log = "{own}"')
        + route("one", backend.port, f'log = "{shared}"')
        + route("two", backend.port, f'log = "{tmp_path}/./shared.log"')
        + route("main", backend.port)
    )
    it = edge(routes, site='clients = { ca = "{pki}/public-ca.pem", mode = "ask" }')
    assert ask(it, pki, "/own", "/closed", "/one", "/two", "/main", "/nowhere") == [200, 403, 200, 200, 200, 404]
    first, second = count(own, 2)
    assert first == {"route": "own", "end": "done", "header:host": "a.test"}
    assert (second["route"], second["end"]) == ("closed", "request/client-not-allowed")
    assert {x["route"] for x in count(shared, 2)} == {"one", "two"}
    assert [x["route"] for x in count(it.log, 2)] == ["main", None]


def test_connections_that_pass_through_have_their_routes_file(edge: Edges, raw: Raws, pki: Pki, tmp_path: Path) -> None:
    own = tmp_path / "own.log"
    through = raw(answering(OK), pki.pass_leaf)
    text = f'[[route]]\nname = "p"\nhost = "pass.test"\ntls = "passthrough"\nto = ["127.0.0.1:{through.port}"]\nlog = {{ to = "{own}", fields = ["sni", "route", "pattern", "bytes_out", "end"] }}\n'
    it = edge(text)
    with tls(it.port, "pass.test", pki.public.file) as sock:
        assert exchange(sock, "GET / HTTP/1.1\r\nHost: pass.test\r\n\r\n").status == 200
    (line,) = count(own, 1)
    assert line.pop("bytes_out") > len(OK)
    assert line == {"sni": "pass.test", "route": "p", "pattern": "passthrough", "end": "done"}
    with pytest.raises(ssl.SSLError):
        tls(it.port, "unknown.test", pki.public.file)
    assert [x["end"] for x in count(it.log, 1)] == ["hello/unknown-sni"]


def test_a_route_that_is_silent_tells_what_was_refused_or_failed(
    edge: Edges, backend: Raw, raw: Raws, pki: Pki
) -> None:
    dead = raw(answering(b"garbage\r\n\r\n"))
    allow = 'allow = { clients = ["nobody.test"] }\n'
    routes = (
        route("fine", backend.port, "log = false")
        + route("closed", backend.port, f"{allow}log = false")
        + route("dead", dead.port, "log = false")
        + '[[route]]\nname = "own"\nhost = "a.test"\npath = "/own"\nanswer = { status = 200, text = "ok" }\nlog = false\n'
    )
    it = edge(routes, site='clients = { ca = "{pki}/public-ca.pem", mode = "ask" }')
    assert ask(it, pki, "/fine", "/own", "/closed", "/dead", "/fine") == [200, 200, 403, 502, 200]
    found = it.all_lines()
    assert [(x["route"], x["end"]) for x in found] == [
        ("closed", "request/client-not-allowed"),
        ("dead", "hop/bad-response"),
    ]


def test_a_silent_route_is_counted_and_its_last_request_is_shown(edge: Edges, backend: Raw, pki: Pki) -> None:
    it = edge(route("r", backend.port, "log = false"))
    assert ask(it, pki, "/r") == [200]
    (told,) = it.status()["routes"]
    assert (told["requests"], told["last"]["end"]) == (1, "done")
    assert it.all_lines() == []


# What becomes of it.


def test_a_file_that_cannot_be_opened_refuses_a_reload_with_its_place_and_what_runs_goes_on(
    edge: Edges, backend: Raw, pki: Pki, tmp_path: Path
) -> None:
    it = edge(route("r", backend.port))
    before = it.admin("status")["supervisor"]["plan_digest"]
    told = it.reload(route("r", backend.port, f'log = "{tmp_path}/nowhere/r.log"') + route("s", backend.port))
    assert not told["reloaded"]
    (finding,) = told["findings"]
    row = it.config.read_text().splitlines()[finding["line"] - 1]
    assert (finding["slug"], row.startswith("log = ")) == ("log/cannot-open", True)
    assert "No such file" in finding["what"] and finding["mend"]
    assert it.admin("status")["supervisor"]["plan_digest"] == before
    assert ask(it, pki, "/r", "/s") == [200, 404]
    assert it.reload(route("r", backend.port, f'log = "{tmp_path}/r.log"'))["reloaded"]
    assert ask(it, pki, "/r") == [200]
    count(tmp_path / "r.log", 1)


def test_files_that_are_turned_over_under_load_lose_no_line(
    edge: Edges, backend: Raw, pki: Pki, tmp_path: Path
) -> None:
    own = tmp_path / "own.log"
    it = edge(route("own", backend.port, f'log = {{ to = "{own}", fields = ["path"] }}') + route("main", backend.port))
    over, done = threading.Event(), []

    def load(thread: int) -> None:
        n = 0
        with tls(it.port, "a.test", pki.public.file, kept=False) as sock:
            while not over.is_set():
                for name in ("own", "main"):
                    path = f"/{name}/{thread}/{n}"
                    assert exchange(sock, f"GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n").status == 200
                    done.append(path)
                n += 1

    threads = [threading.Thread(target=load, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    turned = []
    for n in range(5):
        mark, more = len(it.edge.said), len(done) + 20
        for log in (own, it.log):
            until(log.exists)
            turned.append(log.rename(log.with_name(f"{log.name}.{n}")))
        it.edge.process.send_signal(signal.SIGUSR1 if n % 2 else signal.SIGHUP)
        it.edge.wait_for("access log reopened" if n % 2 else "reloaded, plan", 30, after=mark)
        until(lambda: len(done) > more or None)  # noqa: B023  (looked at before the next turn)
    over.set()
    for thread in threads:
        thread.join(30)
    it.edge.stop()
    found = [line["path"] for log in (*turned, own, it.log) for line in lines(log)]
    assert sorted(found) == sorted(done)
    for log in turned:
        assert log.read_bytes()[-1:] in (b"", b"\n"), "none is torn"


def test_a_full_disk_under_one_route_costs_its_lines_alone_and_they_are_counted(
    edge: Edges, backend: Raw, pki: Pki
) -> None:
    it = edge(route("full", backend.port, 'log = "/dev/full"') + route("fine", backend.port))
    assert ask(it, pki, "/full", "/fine", "/full") == [200, 200, 200]
    until(lambda: it.status()["log_dropped"] == 2 or None)
    assert [x["route"] for x in count(it.log, 1)] == ["fine"]
    told = [(t["kind"], t["about"]) for t in it.admin("status")["supervisor"]["troubles"]]
    until(
        lambda: (
            ("log-broken", "/dev/full")
            in [(t["kind"], t["about"]) for t in it.admin("status")["supervisor"]["troubles"]]
            or None
        ),
        told=lambda: str(told),
    )


def test_where_no_request_may_pass_without_its_line_those_of_a_full_file_are_refused_and_no_others(
    edge: Edges, backend: Raw, pki: Pki
) -> None:
    it = edge(route("full", backend.port, 'log = "/dev/full"') + route("fine", backend.port), log='on_full = "refuse"')
    assert ask(it, pki, "/full") == [200]
    until(lambda: ask(it, pki, "/full") == [503] or None)
    assert ask(it, pki, "/fine", "/full", "/fine") == [200, 503, 200]
    assert it.status()["routes"][0]["refused"]["log/full"] >= 2


def test_a_reader_that_takes_nothing_holds_up_nobody(edge: Edges, backend: Raw, pki: Pki, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        it = edge(route("slow", backend.port, f'log = "{pipe}"') + route("fine", backend.port))
        # More than a pipe holds.
        with tls(it.port, "a.test", pki.public.file) as sock:
            for _ in range(120):
                assert exchange(sock, "GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n").status == 200
        assert ask(it, pki, "/fine", "/slow") == [200, 200]
        assert [x["route"] for x in count(it.log, 1)] == ["fine"]
    finally:
        os.close(reader)


def test_an_engine_that_follows_another_goes_on_with_every_file(
    edge: Edges, backend: Raw, pki: Pki, tmp_path: Path
) -> None:
    own = tmp_path / "own.log"
    it = edge(route("own", backend.port, f'log = "{own}"') + route("main", backend.port))
    assert it.admin("upgrade")["upgraded"]
    assert ask(it, pki, "/own", "/main") == [200, 200]
    count(own, 1)
    count(it.log, 1)

"""`everyhop maintenance`: a route that the edge answers for until a moment, whatever is started anew in between."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime

import pytest

from everyhop.demo.backends import Backend
from everyhop.demo.stage import Edge
from everyhop.errors import EveryhopError
from tests.kit import Answer, EdgeKit, Pki, exchange, tls
from tests.kit.edge import until
from tests.kit.process import children

Edges = Callable[..., EdgeKit]
HOUR = dt.timedelta(hours=1)


@pytest.fixture
def backend() -> Iterator[Backend]:
    it = Backend("plain")
    yield it
    it.close()


def routes(port: int, more: str = "") -> str:
    return f'[[route]]\nname = "shop"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n{more}'


def ask(it: EdgeKit, pki: Pki) -> Answer:
    with tls(it.port, "a.test", pki.public.file) as sock:
        return exchange(sock, "GET /x HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")


def soon(after: dt.timedelta = HOUR) -> dt.datetime:
    return (dt.datetime.now(dt.UTC) + after).replace(microsecond=0)


def switch(it: EdgeKit, route: str, at: dt.datetime | None, text: str | None = None) -> dict[str, object]:
    return it.admin("maintenance", route=route, until=at and at.isoformat(), text=text)


def test_a_route_is_down_until_it_is_switched_back_through_reload_engine_and_supervisor(
    edge: Edges, pki: Pki, backend: Backend
) -> None:
    it = edge(routes(backend.port))
    before = it.status()["plan_digest"]
    assert ask(it, pki).status == 200
    at = soon()
    told = it.cli("maintenance", "shop", "--until", at.isoformat(), "--config", str(it.config))
    assert told.returncode == 0 and f"answers 503 until {at:%Y-%m-%dT%H:%M:%SZ}" in told.stdout, told
    answer = ask(it, pki)
    assert answer.status == 503 and parsedate_to_datetime(answer.headers["retry-after"]) == at
    assert f"until {at:%Y-%m-%d %H:%M} UTC" in answer.text and answer.headers["cache-control"] == "no-store"
    line = it.line(lambda line: line["status"] == 503)
    assert (line["route"], line["pattern"], line["backend_hop"]) == ("shop", "answered", None)
    shown = it.cli("status", "--config", str(it.config)).stdout
    assert f"down for maintenance until {at:%Y-%m-%dT%H:%M:%SZ}: shop" in shown, shown

    assert it.reload(routes(backend.port, "websocket = false\n"))["reloaded"]
    assert ask(it, pki).status == 503
    (engine,) = children(it.edge.process.pid)
    os.kill(engine, signal.SIGKILL)
    it.edge.wait_for("the engine is back", 20)
    assert ask(it, pki).status == 503
    it.edge.process.kill()
    it.edge.process.wait(10)
    it.edge = Edge(it.config)
    it.edge.wait_for("ready:", 60)
    it.edge.wait_for("route shop is down for maintenance")
    assert ask(it, pki).status == 503

    assert it.reload(routes(backend.port))["reloaded"]
    off = it.cli("maintenance", "shop", "--off", "--config", str(it.config))
    assert off.returncode == 0 and "route shop is back" in off.stdout
    assert ask(it, pki).status == 200
    assert it.status()["plan_digest"] == before, "what is decided runs again, to the byte"
    assert it.admin("status")["supervisor"]["maintenance"] == []


def test_it_is_kept_when_the_edge_is_stopped_and_started(edge: Edges, pki: Pki, backend: Backend) -> None:
    it = edge(routes(backend.port))
    assert switch(it, "shop", soon(), "back soon\n")["switched"]
    assert it.edge.stop() == 0
    it.edge = Edge(it.config)
    it.edge.wait_for("ready:", 60)
    assert (ask(it, pki).status, ask(it, pki).text) == (503, "back soon\n")
    assert switch(it, "shop", None)["switched"]


def test_browsers_are_told_by_a_page_that_the_command_reads_once(edge: Edges, pki: Pki, backend: Backend) -> None:
    it = edge(routes(backend.port))
    page = it.config.parent / "down.html"
    whole = ("<h1>\u201ewir ziehen um\u201c</h1>\n" + '"' * 65_536).encode()[: 64 * 1024].decode()
    page.write_text(whole, encoding="utf-8")
    down = ("maintenance", "shop", "--until", "2h", "--page", str(page), "--config", str(it.config))
    told = it.cli(*down)
    assert told.returncode == 0 and "answers 503 until" in told.stdout, told
    page.write_text("<h1>another</h1>")
    assert it.reload(routes(backend.port, "websocket = false\n"))["reloaded"]
    answer = ask(it, pki)
    assert (answer.status, answer.headers["content-type"]) == (503, "text/html; charset=utf-8")
    assert answer.text == whole
    page.write_bytes(b"x" * (64 * 1024 + 1))
    refused = it.cli(*down)
    assert refused.returncode == 2 and "64 KiB at most" in refused.stderr, refused
    both = it.cli(*down, "--text", "down")
    assert both.returncode == 2 and "in the place of --text" in both.stderr, both
    assert ask(it, pki).text == whole, "what was refused changed nothing"
    assert switch(it, "shop", None)["switched"]
    assert ask(it, pki).status == 200


def test_it_ends_by_itself_at_its_time(edge: Edges, pki: Pki, backend: Backend) -> None:
    it = edge(routes(backend.port))
    at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=3)
    assert switch(it, "shop", at)["switched"]
    assert ask(it, pki).status == 503 or dt.datetime.now(dt.UTC) >= at
    until(lambda: ask(it, pki).status == 200 or None, 30)
    assert dt.datetime.now(dt.UTC) >= at
    it.edge.wait_for("maintenance is over, back: shop")


def test_what_cannot_be_answered_is_refused_and_nothing_changes(edge: Edges, pki: Pki, backend: Backend) -> None:
    passed = '[[route]]\nname = "closed"\nhost = "p.test"\ntls = "passthrough"\nto = ["127.0.0.1:1"]\n'
    it = edge(routes(backend.port, passed))
    before = it.status()["plan_digest"]
    for route, at, why in (
        ("closed", soon(), "passes TLS through"),
        ("other", soon(), "there is no route 'other'; there are shop, closed"),
        ("shop", soon(-HOUR), "is over"),
        ("shop", soon(HOUR * 24 * 31), "write an answer into the file"),
        ("shop", None, "is not down for maintenance"),
    ):
        told = switch(it, route, at)
        assert told["switched"] is False and why in str(told["why"]), told
    called = it.cli("maintenance", "closed", "--until", "2h", "--config", str(it.config), "--json")
    assert called.returncode == 1 and json.loads(called.stdout)["switched"] is False
    assert it.cli("maintenance", "shop", "--config", str(it.config)).returncode == 2
    assert it.cli("maintenance", "shop", "--until", "soon", "--config", str(it.config)).returncode == 2
    with pytest.raises(EveryhopError, match="admin/malformed"):
        it.admin("maintenance", route="shop", until="2026-01-01T00:00:00", text=None)
    assert it.status()["plan_digest"] == before and ask(it, pki).status == 200


def test_a_file_that_is_read_anew_opens_nothing(edge: Edges, pki: Pki, backend: Backend) -> None:
    page = pki.folder / "maintained.txt"
    page.write_text("one")
    told = '[[route]]\nname = "page"\nhost = "b.test"\nanswer = { status = 200, file = "{pki}/maintained.txt" }\n'
    it = edge(routes(backend.port, told))
    assert switch(it, "shop", soon())["switched"]
    page.write_text("two")
    it.edge.wait_for("pages renewed", 20)
    with tls(it.port, "b.test", pki.public.file) as sock:
        assert exchange(sock, "GET / HTTP/1.1\r\nHost: b.test\r\n\r\n").text == "two"
    assert ask(it, pki).status == 503
    assert switch(it, "shop", None)["switched"] and ask(it, pki).status == 200

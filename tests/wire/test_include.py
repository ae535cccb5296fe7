"""A configuration of several files is read, refused and brought back as one."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import pytest

from everyhop.demo.backends import Backend
from everyhop.demo.stage import Edge
from tests.kit import EdgeKit, Pki, exchange, tls
from tests.kit.process import children

Edges = Callable[..., EdgeKit]


@pytest.fixture
def backend() -> Iterator[Backend]:
    it = Backend("b")
    yield it
    it.close()


def route(name: str, port: int) -> str:
    return f'[[route]]\nname = "{name}"\nhost = "{name}.test"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n'


def asked(it: EdgeKit, pki: Pki, name: str) -> int:
    with tls(it.port, "a.test", pki.public.file) as sock:
        return exchange(sock, f"GET / HTTP/1.1\r\nHost: {name}.test\r\n\r\n").status


def test_a_reload_takes_all_files_or_none_and_what_ran_comes_back_whole(
    edge: Edges, backend: Backend, pki: Pki
) -> None:
    it = edge(route("a", backend.port))
    it.config.write_text(it.config.read_text().replace("version = 1\n", 'version = 1\ninclude = ["routes/*.toml"]\n'))
    routes = it.folder / "routes"
    routes.mkdir()
    answer = it.admin("reload")
    assert answer["reloaded"] and [f["slug"] for f in answer["findings"]] == ["config/include"], (
        "nothing there yet: told"
    )
    (routes / "b.toml").write_text(route("b", backend.port))
    assert asked(it, pki, "b") == 404, "nobody reads a file unasked"
    assert it.admin("reload")["reloaded"] and asked(it, pki, "b") == 200

    (routes / "c.toml").write_text(route("c", backend.port) + "[[route\n")
    mark = len(it.edge.said)
    answer = it.admin("reload")
    assert not answer["reloaded"]
    assert [(f["slug"], f["file"], f["line"]) for f in answer["findings"]] == [
        ("config/syntax", str(routes / "c.toml"), 6)
    ]
    it.edge.wait_for("| [[route", 10, after=mark)  # the line is shown, of the file that it stands in
    assert (asked(it, pki, "b"), asked(it, pki, "c")) == (200, 404)

    digest = it.status()["plan_digest"]
    (engine,) = children(it.edge.process.pid)
    it.edge.process.kill()
    it.edge.process.wait(10)
    os.kill(engine, signal.SIGKILL)
    (routes / "b.toml").unlink()
    it.edge = Edge(it.config)
    it.edge.wait_for("the last good plan comes back", 30)
    it.edge.wait_for("ready:", 30)
    assert it.status()["plan_digest"] == digest and asked(it, pki, "b") == 200

    (routes / "c.toml").unlink()
    assert it.admin("reload")["reloaded"] and (asked(it, pki, "a"), asked(it, pki, "b")) == (200, 404)

"""What `status` says of an edge is so, and is otherwise once it is otherwise."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from everyhop import __version__
from everyhop.engine.process import find
from tests.kit import EdgeKit, Pki, exchange, tls
from tests.kit.edge import until
from tests.promises.backend import Counting

Edges = Callable[..., EdgeKit]


@pytest.fixture
def backend() -> Iterator[Counting]:
    it = Counting()
    yield it
    it.close()


def route(port: int, more: str = "", name: str = "r") -> str:
    return f'[[route]]\nname = "{name}"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n{more}\n'


def get(it: EdgeKit, pki: Pki, path: str = "/") -> int:
    with tls(it.port, "a.test", pki.public.file) as sock:
        return exchange(sock, f"GET {path} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").status


def test_the_last_observation_of_a_route_and_of_what_reached_none_is_the_newest(
    edge: Edges, pki: Pki, backend: Counting
) -> None:
    it = edge(route(backend.port, 'path = "/r"'))
    status = it.status()
    assert status["last_elsewhere"] is None and status["routes"][0]["last"] is None
    for n in range(3):
        assert get(it, pki, f"/r/{n}") == 200
        until(lambda n=n: (it.status()["routes"][0]["last"] or {}).get("path") == f"/r/{n}")  # type: ignore[misc]
    assert it.status()["last_elsewhere"] is None
    assert get(it, pki, "/nowhere") == 404
    until(lambda: (it.status()["last_elsewhere"] or {}).get("end") == "request/not-found")
    with pytest.raises(OSError):
        tls(it.port, "unknown.test", pki.public.file)
    until(lambda: it.status()["last_elsewhere"]["end"] == "hello/unknown-sni")
    assert it.status()["routes"][0]["last"]["path"] == "/r/2", "of the route nothing is newer"


def test_a_failure_of_a_backend_is_told_as_its_last_and_counted_until_it_serves(
    edge: Edges, pki: Pki, backend: Counting
) -> None:
    it = edge(route(backend.port), more="[limits]\nupstream_idle_s = 1\n")

    def told() -> dict[str, object]:
        found: dict[str, object] = it.status()["routes"][0]["backends"][0]
        return found

    assert (told()["failures"], told()["last_failure"], told()["failed"]) == (0, None, {})
    backend.fall()
    assert get(it, pki) == 502
    now = told()
    last = now["last_failure"]
    assert isinstance(last, dict) and last["end"] == "hop/connect-failed"
    assert now["failures"] == 1 and now["failed"] == {"hop/connect-failed": 1}
    backend.rise()
    assert get(it, pki) == 200
    assert told()["failures"] == 0 and told()["failed"] == {"hop/connect-failed": 1}, "what was counted stays counted"


def test_the_supervisor_is_who_it_says_and_knows_what_runs_and_what_was_refused(
    edge: Edges, pki: Pki, backend: Counting
) -> None:
    it = edge(route(backend.port))

    def told() -> dict[str, object]:
        found: dict[str, object] = it.admin("status")["supervisor"]
        return found

    first = told()
    assert (first["version"], first["pid"], first["config"]) == (__version__, it.edge.process.pid, str(it.config))
    assert first["last_reload"] == {} and first["engine_restarts"] == 0
    places = first["places"]
    assert isinstance(places, dict)
    line = it.config.read_text().splitlines().index("[[route]]") + 1
    assert places == {"r": f"{it.config}:{line}:3"}
    assert it.reload(route(backend.port, 'path = "/r"'))["reloaded"]
    taken = told()
    assert isinstance(taken["last_reload"], dict) and taken["last_reload"]["reloaded"] is True
    assert taken["plan_digest"] != first["plan_digest"] and taken["plan_digest"] == it.status()["plan_digest"]
    assert not it.reload("nonsense = 1\n")["reloaded"]
    refused = told()
    assert isinstance(refused["last_reload"], dict) and refused["last_reload"]["reloaded"] is False
    assert refused["plan_digest"] == taken["plan_digest"] and refused["started"] == first["started"]
    # Not by the name of a process, which others have, too.
    (engine,) = [int(p) for p in os.listdir("/proc") if p.isdigit() and child_of(int(p), it.edge.process.pid)]
    assert find(engine) is not None
    os.kill(engine, signal.SIGKILL)
    it.edge.wait_for("the engine is back", 20)
    assert told()["engine_restarts"] == 1
    assert told()["pid"] == first["pid"]


def child_of(pid: int, parent: int) -> bool:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) == parent
    except OSError:
        return False


def test_connections_and_panics_are_counted_as_they_are(edge: Edges, pki: Pki, backend: Counting) -> None:
    it = edge(route(backend.port))
    assert (it.status()["connections"], it.status()["panics"], it.status()["log_dropped"]) == (0, 0, 0)
    held = [tls(it.port, "a.test", pki.public.file) for _ in range(3)]
    until(lambda: it.status()["connections"] == 3)
    held.pop().close()
    until(lambda: it.status()["connections"] == 2)
    for sock in held:
        sock.close()
    until(lambda: it.status()["connections"] == 0)

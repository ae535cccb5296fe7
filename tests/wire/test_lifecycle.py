"""Reload, drain, a killed engine, a killed supervisor: nothing that works is lost, nothing weaker takes its place."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from everyhop.admin import engine_socket
from everyhop.demo.backends import Backend
from everyhop.demo.stage import Edge, free_port
from everyhop.engine.control import Control
from everyhop.engine.messages import Hello, Welcome
from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.raw import OK, answering, head

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"


def route(port: int, more: str = "", name: str = "r") -> str:
    return f'[[route]]\nname = "{name}"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n{more}\n'


@pytest.fixture
def backend() -> Iterator[Backend]:
    it = Backend("b")
    yield it
    it.close()


def ask(it: EdgeKit, pki: Pki) -> int:
    with tls(it.port, "a.test", pki.public.file) as sock:
        return exchange(sock, GET).status


NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port}; keepalive_requests 1000000; location / {{ return 200 "ok"; }} }}
}}
"""


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[int]:
    port = free_port()
    config = tmp_path / "nginx.conf"
    config.write_text(NGINX.format(folder=tmp_path, port=port))
    process = subprocess.Popen(
        ["nginx", "-c", str(config), "-p", str(tmp_path)], env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"}
    )

    def up() -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", port)) == 0

    until(up)
    yield port
    process.terminate()
    process.wait(10)


@pytest.mark.parametrize("protocol", ["--h1", "--npn-list=h2"])
def test_reloading_under_load_loses_nothing(edge: Edges, nginx: int, protocol: str) -> None:
    """Promise 1: editing a route and SIGHUP, again and again, while h2load runs."""
    it = edge(route(nginx), threads=2)
    command = [
        "h2load",
        protocol,
        "-n",
        "12000",
        "-c",
        "8",
        "--connect-to",
        f"127.0.0.1:{it.port}",
        f"https://a.test:{it.port}/",
    ]
    load = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    reloads = 0
    while load.poll() is None and reloads < 15:
        reloads += 1
        mark = len(it.edge.said)
        it.write(route(nginx, f'path = "/"\npriority = {reloads}') + route(nginx, f'path = "/n{reloads}"', "other"))
        it.edge.process.send_signal(signal.SIGHUP)
        it.edge.wait_for("reloaded, plan", 20, after=mark)
    out, _ = load.communicate(timeout=60)
    assert "12000 succeeded, 0 failed, 0 errored, 0 timeout" in out, out
    assert it.status()["generation"] == reloads + 1


def test_a_broken_file_changes_nothing(edge: Edges, backend: Backend, pki: Pki) -> None:
    """C01."""
    it = edge(route(backend.port))
    before = it.status()
    answer = it.reload(route(backend.port) + "nonsense = 1\n")
    assert not answer["reloaded"] and answer["findings"][0]["slug"] == "config/unknown-key"
    after = it.status()
    assert (after["plan_digest"], after["generation"]) == (before["plan_digest"], before["generation"])
    assert ask(it, pki) == 200
    done = it.cli("reload", "--config", str(it.config))
    assert done.returncode == 1 and "keeps running" in done.stderr


def test_a_file_that_does_not_parse_is_told_by_reload_and_hides_no_status(edge: Edges, backend: Backend) -> None:
    """C01. Where the supervisor answers stands in the file that is broken now."""
    it = edge(route(backend.port))
    it.config.write_text(it.config.read_text() + "[[route\n")
    done = it.cli("reload", "--config", str(it.config))
    assert done.returncode == 1 and "[config/syntax]" in done.stderr and "keeps running" in done.stderr
    assert it.cli("status", "--config", str(it.config)).returncode == 0
    stranger = it.folder / "other.toml"
    stranger.write_text("[[route\n")
    done = it.cli("status", "--config", str(stranger))
    assert done.returncode == 4 and "does not parse" in done.stderr


def test_the_next_request_on_an_open_connection_obeys_the_new_plan(edge: Edges, raw: Raws, pki: Pki) -> None:
    """C03."""
    one, two = raw(answering(OK)), raw(answering(OK.replace(b"ok", b"2.")))
    it = edge(route(one.port))
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, GET).body == b"ok"
        assert it.reload(route(two.port))["reloaded"]
        until(lambda: exchange(sock, GET).body == b"2.")


def test_a_site_that_now_demands_certificates_closes_open_connections(edge: Edges, backend: Backend, pki: Pki) -> None:
    """C03."""
    it = edge(route(backend.port))
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, GET).status == 200
        it.site = 'clients = { ca = "{pki}/public-ca.pem", mode = "require" }'
        assert it.reload(route(backend.port))["reloaded"]
        sock.settimeout(10)
        assert sock.recv(1) == b""


def test_new_and_old_listeners_come_and_go(edge: Edges, backend: Backend, pki: Pki) -> None:
    it = edge(route(backend.port))
    old, it.port = it.port, free_port()
    assert it.reload(route(backend.port))["reloaded"]
    assert ask(it, pki) == 200

    def refused() -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", old)) != 0

    until(refused)


def test_a_port_in_use_is_told_and_keeps_what_runs(edge: Edges, backend: Backend, pki: Pki) -> None:
    it = edge(route(backend.port))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        mine, it.port = it.port, taken.getsockname()[1]
        answer = it.reload(route(backend.port))
    assert not answer["reloaded"] and "in use" in answer["why"]
    it.port = mine
    assert ask(it, pki) == 200


def test_changing_threads_needs_a_restart(edge: Edges, backend: Backend, pki: Pki) -> None:
    it = edge(route(backend.port))
    it.parts["threads"] = 2
    answer = it.reload(route(backend.port))
    assert not answer["reloaded"] and "restart needed" in answer["why"]
    assert ask(it, pki) == 200


def engine_pid(it: EdgeKit) -> int:
    control = Control.connect(engine_socket(it.folder / "admin.sock"))
    pid = control.must(Hello(), Welcome).pid
    control.close()
    return pid


def test_a_killed_engine_is_back_on_the_same_sockets_with_the_same_plan(
    edge: Edges, backend: Backend, pki: Pki
) -> None:
    it = edge(route(backend.port))
    before, pid = it.status()["plan_digest"], engine_pid(it)
    os.kill(pid, signal.SIGKILL)
    # The queue of the dead engine waits for the next one: this connects and is served.
    assert ask(it, pki) == 200
    it.edge.wait_for("the engine is back", 10)
    assert it.status()["plan_digest"] == before and engine_pid(it) != pid


def test_a_killed_supervisor_stops_nothing_and_the_next_one_adopts(edge: Edges, backend: Backend, pki: Pki) -> None:
    it = edge(route(backend.port))
    pid = engine_pid(it)
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, GET).status == 200
        it.edge.process.kill()
        it.edge.process.wait(10)
        assert exchange(sock, GET).status == 200, "the engine does not need it"
        assert ask(it, pki) == 200
        it.edge = Edge(it.config)
        it.edge.wait_for(f"adopted the engine with pid {pid}", 20)
        it.edge.wait_for("ready:", 20)
        assert exchange(sock, GET).status == 200
    assert engine_pid(it) == pid
    assert it.reload(route(backend.port, "priority = 1"))["reloaded"]
    assert ask(it, pki) == 200


def test_a_second_supervisor_is_refused(edge: Edges, backend: Backend) -> None:
    it = edge(route(backend.port))
    done = it.cli("run", "--config", str(it.config))
    assert done.returncode == 4 and "answers at" in done.stderr


def test_stopping_finishes_what_is_in_flight(edge: Edges, raw: Raws, pki: Pki) -> None:
    gate = threading.Event()

    def script(sock: socket.socket, record: bytearray) -> None:
        head(sock, record)
        gate.wait(20)
        sock.sendall(OK)

    backend = raw(script)
    it = edge(route(backend.port), drain_s=20)
    with tls(it.port, "a.test", pki.public.file) as sock, tls(it.port, "a.test", pki.public.file) as idle:
        sock.sendall(GET.encode())
        until(lambda: backend.received or None)
        it.edge.process.terminate()
        it.edge.wait_for("draining", 10)
        idle.settimeout(10)
        assert idle.recv(1) == b"", "idle connections are let go at once"
        gate.set()
        from tests.kit import read_answer

        answer = read_answer(sock)
        assert answer.status == 200
    assert it.edge.process.wait(20) == 0


def test_the_access_log_is_reopened_on_sigusr1(edge: Edges, backend: Backend, pki: Pki) -> None:
    it = edge(route(backend.port))
    assert ask(it, pki) == 200
    it.line(lambda x: x["route"] == "r")
    it.log.rename(it.folder / "old.log")
    it.edge.process.send_signal(signal.SIGUSR1)
    it.edge.wait_for("access log reopened", 10)
    assert ask(it, pki) == 200
    assert it.line(lambda x: x["route"] == "r")


def test_metrics_and_health_are_served_beside(edge: Edges, backend: Backend, pki: Pki) -> None:
    port = free_port()
    it = edge(route(backend.port), more=f'[status]\nbind = "127.0.0.1:{port}"\n')
    assert ask(it, pki) == 200
    with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read().decode()
    assert re.search(r'^everyhop_requests_total\{route="r"[^}]*\} 1$', text, re.M), text
    for path in ("livez", "readyz"):
        with urlopen(f"http://127.0.0.1:{port}/{path}") as answer:
            assert answer.status == 200


def test_status_shows_decided_against_observed(edge: Edges, backend: Backend, pki: Pki) -> None:
    it = edge(route(backend.port))
    assert ask(it, pki) == 200
    it.line(lambda x: x["route"] == "r")
    done = it.cli("status", "--config", str(it.config))
    assert done.returncode == 0, done.stderr
    assert "decided   client =TLS= edge -!plaintext!-" in done.stdout
    assert "observed  ended TLS 1.3" in done.stdout

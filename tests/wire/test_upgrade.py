"""An upgrade: another engine takes the place of the one that runs, and nobody who is served notices. One that cannot changes
nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import everyhop
from everyhop.admin import engine_socket, upgrade
from everyhop.admin.change import lasting
from everyhop.admin.keeper import Keeper
from everyhop.compile import compile_file
from everyhop.demo.backends import Backend
from everyhop.demo.stage import Edge, free_port
from everyhop.engine.control import Control, EngineRefused
from everyhop.engine.messages import Declined, Hello, Welcome
from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.process import children
from tests.threats.frames import ACK, PING, Client, fields, frame
from tests.threats.test_configuration import Connected, echoing, upgrading

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
PLAIN = '[[route]]\nname = "{name}"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n{more}\n'
PASSED = '[[route]]\nname = "pass"\nhost = "pass.test"\ntls = "passthrough"\nto = ["127.0.0.1:{port}"]\n'
WEBSOCKETS = 'path = "/ws"\nwebsocket = true'


@pytest.fixture
def backend() -> Iterator[Backend]:
    it = Backend("b")
    yield it
    it.close()


def retired(it: EdgeKit) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = it.admin("status")["supervisor"]["retired"]
    return found


def hello(it: EdgeKit) -> Welcome:
    control = Control.connect(engine_socket(it.folder / "admin.sock"))
    try:
        return control.must(Hello(), Welcome)
    finally:
        control.close()


def ask(it: EdgeKit, pki: Pki) -> int:
    with tls(it.port, "a.test", pki.public.file) as sock:
        return exchange(sock, GET).status


class Asking:
    """Somebody who asks again and again, and takes every answer but 200 for a loss."""

    def __init__(self, step: Callable[[], None]) -> None:
        self.step, self.stopped = step, threading.Event()
        self.done = 0
        self.lost: list[str] = []
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        while not self.stopped.is_set():
            try:
                self.step()
            except Exception as e:
                self.lost.append(f"{type(e).__name__}: {e}")
            else:
                self.done += 1

    def stop(self) -> None:
        self.stopped.set()
        self.thread.join(30)


class Keeping:
    """Keeps its connection until an answer says that it was the last one, as RFC 9112 §9.6 has it."""

    def __init__(self, it: EdgeKit, pki: Pki) -> None:
        self.open: Callable[[], ssl.SSLSocket] = lambda: tls(it.port, "a.test", pki.public.file)
        self.sock: ssl.SSLSocket | None = None

    def __call__(self) -> None:
        self.sock = self.sock or self.open()
        answer = exchange(self.sock, GET)
        assert answer.status == 200, answer
        if answer.headers.get("connection") == "close":
            self.close()

    def close(self) -> None:
        if self.sock is not None:
            self.sock.close()
        self.sock = None


def test_three_upgrades_under_load_refuse_nothing_and_cut_nothing(
    edge: Edges, raw: Raws, backend: Backend, pki: Pki
) -> None:
    """F06. Connections that are kept, new ones, an HTTP/2 client, WebSockets and a passthrough tunnel."""
    ws = raw(upgrading).port
    routes = PLAIN.format(name="plain", port=backend.port, more="")
    routes += "".join(
        PLAIN.format(name=p, port=ws, more=f'path = "/{p}"\nwebsocket = true') for p in ("ws", "keep", "by-header")
    )
    status = free_port()
    it = edge(
        routes + PASSED.format(port=raw(echoing, pki.pass_leaf).port),
        threads=2,
        more=f'[status]\nbind = "127.0.0.1:{status}"\n',
    )
    clients = Connected(it, pki)

    def anew() -> None:
        with tls(it.port, "a.test", pki.public.file, kept=False) as sock:
            assert exchange(sock, GET).status == 200

    def scrape() -> None:
        with socket.create_connection(("127.0.0.1", status), 20) as sock:
            sock.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"".join(iter(lambda: sock.recv(4096), b"")).startswith(b"HTTP/1.1 200 ")

    kept = [Keeping(it, pki), Keeping(it, pki)]
    load = [*map(Asking, kept), Asking(anew), Asking(scrape)]
    engines = {hello(it).pid}
    try:
        for n in range(3):
            answer = it.admin("upgrade")
            assert answer["upgraded"], answer
            # From here on: who keeps a connection to the one before is told by the next answer.
            before = [a.done for a in load]
            engines.add(hello(it).pid)
            assert len(engines) == n + 2 and answer["pid"] in engines
            until(lambda before=before: all(a.done > b + 5 for a, b in zip(load, before, strict=True)) or None, 60)  # type: ignore[misc]
            assert all(clients.lives(sock) for sock in (*clients.websockets.values(), clients.passed))
    finally:
        for asking in load:
            asking.stop()
    assert [a.lost for a in load] == [[], [], [], []]
    # Who did not ask meanwhile is answered by the engine that has their connection, and told that it was the last time.
    last = exchange(clients.h1, GET)
    assert (last.status, last.headers.get("connection")) == (200, "close")
    first = retired(it)[0]
    assert first["connections"] >= 4 and first["version"] == everyhop.__version__
    assert "accepts no more" in it.cli("status", "--config", str(it.config)).stdout
    clients.close()
    for one in kept:
        one.close()
    until(lambda: not retired(it) or None, 30, lambda: str(retired(it)))
    assert children(it.edge.process.pid) == [hello(it).pid]
    assert sum("carried everything to its end" in row for row in it.edge.said) == 3
    assert list(it.folder.glob("*.sock*")) and not list(it.folder.glob("*.retired-*"))


def test_sigusr2_upgrades_and_the_command_tells_how_it_went(edge: Edges, backend: Backend, pki: Pki) -> None:
    it = edge(PLAIN.format(name="r", port=backend.port, more=""))
    before = hello(it).pid
    it.edge.process.send_signal(signal.SIGUSR2)
    it.edge.wait_for("upgraded: engine", 30)
    second = hello(it).pid
    assert second != before and ask(it, pki) == 200
    done = it.cli("upgrade", "--config", str(it.config))
    assert done.returncode == 0 and f"pid {second} ends what it carries" in done.stdout, done
    until(lambda: children(it.edge.process.pid) == [hello(it).pid] or None, 30)
    assert it.admin("status")["supervisor"]["engine_restarts"] == 0


class Obliging(Client):
    """Answers PING, by which a server knows that its GOAWAY was seen."""

    def note(self, kind: int, flags: int, stream: int, body: bytes) -> None:
        super().note(kind, flags, stream, body)
        if kind == PING and not flags & ACK:
            self.send(frame(PING, body, flags=ACK))


def test_an_http_2_client_is_sent_to_the_next_engine_and_finishes_what_it_began(
    edge: Edges, raw: Raws, pki: Pki
) -> None:
    came, may_go = threading.Event(), threading.Event()

    def slow(sock: socket.socket, record: Any) -> None:
        while b"\r\n\r\n" not in record:
            if not record.take(sock, 4096):
                return
        came.set()
        assert may_go.wait(60)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")

    it = edge(PLAIN.format(name="r", port=raw(slow).port, more=""))
    client = Obliging(tls(it.port, "a.test", pki.public.file, alpn=["h2"]))
    found: list[str] = []
    asking = threading.Thread(target=lambda: found.append(client.ask(1, fields("a.test"))))
    asking.start()
    assert came.wait(20)
    assert it.admin("upgrade")["upgraded"]
    may_go.set()
    asking.join(30)
    assert found == ["200"]
    for _ in client.read():
        pass
    assert client.goaway == 0 and client.closed, "no error, and over once everything is answered"
    until(lambda: not retired(it) or None, 30, lambda: str(retired(it)))


def own_package(folder: Path) -> Path:
    """The installed package, copied, so that a test can break it; gives its engine."""
    there = folder / "package" / "everyhop"
    shutil.copytree(Path(everyhop.__file__).parent, there, ignore=shutil.ignore_patterns("__pycache__"))
    (engine,) = there.glob("_door*.so")
    return engine


@pytest.mark.parametrize("broken", ["no program", "nothing there", "refuses the plan"])
def test_an_engine_that_cannot_take_over_changes_nothing_and_is_told(
    edge: Edges, raw: Raws, pki: Pki, tmp_path: Path, broken: str
) -> None:
    engine = own_package(tmp_path)
    it = edge(
        PLAIN.format(name="ws", port=raw(upgrading).port, more=WEBSOCKETS),
        under=["env", f"PYTHONPATH={engine.parent.parent}"],
    )
    socket_ = Connected.upgraded(it, pki, "/ws")
    before = hello(it)
    aside = engine.with_name("aside")
    engine.rename(aside)
    if broken == "no program":
        engine.write_bytes(b"\x7fELF no more")
    elif broken == "refuses the plan":
        # A door of Python's own making, that answers as an engine would that knows another form of plan.
        source = tmp_path / "door.c"
        source.write_text(REFUSING)
        subprocess.run(
            [
                "cc",
                "-shared",
                "-fPIC",
                f'-DSTART="{sys.executable}"',
                f'-DFAKE="{tmp_path}/fake.py"',
                "-o",
                str(engine),
                str(source),
            ],
            check=True,
        )
        (tmp_path / "fake.py").write_text(FAKE)
    done = it.cli("upgrade", "--config", str(it.config))
    assert done.returncode == 1 and f"the engine with pid {before.pid} goes on" in done.stderr, done
    after = hello(it)
    assert after == before and children(it.edge.process.pid) == [before.pid]
    assert Connected.lives(socket_), "what it carries, it carries"
    told = {t["kind"]: t for t in it.admin("status")["supervisor"]["troubles"]}
    assert told["upgrade-failed"]["why"] and not told["upgrade-failed"]["unready"]
    assert not list(it.folder.glob("*.next")) and not retired(it)
    aside.replace(engine)
    assert it.admin("upgrade")["upgraded"]
    assert "upgrade-failed" not in {t["kind"] for t in it.admin("status")["supervisor"]["troubles"]}
    assert Connected.lives(socket_)


REFUSING = """
#include <unistd.h>
#include <stdlib.h>
#include <string.h>
extern char **environ;
/* Loaded in place of the engine: becomes the fake one, with the descriptor of its control socket. */
__attribute__((constructor)) static void start(void) {
    char fds[4096];
    int fd = -1;
    for (int i = 3; i < 256; i++) {
        int listening = 0; unsigned size = sizeof listening;
        extern int getsockopt(int, int, int, void *, unsigned *);
        if (getsockopt(i, 1, 30, &listening, &size) == 0 && listening) fd = i;
    }
    if (fd < 0) _exit(9);
    dup2(fd, 3);
    execl(START, START, "-I", "-S", FAKE, (char *)0);
    _exit(8);
    (void)fds;
}
"""
FAKE = """
import json, os, socket, struct
listener = socket.socket(fileno=3)
while True:
    sock, _ = listener.accept()
    while head := sock.recv(4):
        (size,) = struct.unpack(">I", head)
        body = b""
        while len(body) < size:
            body += sock.recv(size - len(body))
        ask = json.loads(body)["ask"]
        told = {"protocol": 1, "answer": "refused", "slug": "engine/plan", "why": "unknown field `novelty`"}
        if ask == "hello":
            told = {"protocol": 1, "answer": "welcome", "pid": os.getpid(), "version": "9", "started_s": 1,
                    "plan_digest": None, "material_digest": None, "generation": 0, "threads": None, "draining": False,
                    "leaves_in_s": None, "sockets": [], "sandbox": None, "status_bind": None}
        elif ask == "listen":
            told = {"protocol": 1, "answer": "listening"}
        data = json.dumps(told).encode()
        sock.sendall(struct.pack(">I", len(data)) + data)
"""


def test_what_an_engine_before_still_carries_obeys_reloads(edge: Edges, raw: Raws, pki: Pki) -> None:
    """F06. A tunnel whose route goes is cut wherever it is carried; the others stay."""
    ws = raw(upgrading).port
    routes = {p: PLAIN.format(name=p, port=ws, more=f'path = "/{p}"\nwebsocket = true') for p in ("ws", "keep")}
    it = edge("".join(routes.values()))
    gone, stays = (Connected.upgraded(it, pki, f"/{path}") for path in ("ws", "keep"))
    assert it.admin("upgrade")["upgraded"]
    assert it.reload("".join(routes.values()) + PLAIN.format(name="more", port=1, more='path = "/more"'))["reloaded"]
    assert Connected.lives(gone) and Connected.lives(stays)
    assert it.reload(routes["keep"])["reloaded"]
    until(lambda: not Connected.lives(gone), 20)
    assert Connected.lives(stays)


def test_what_an_engine_before_still_carries_ends_at_its_limit(edge: Edges, raw: Raws, pki: Pki) -> None:
    it = edge(PLAIN.format(name="ws", port=raw(upgrading).port, more=WEBSOCKETS), engine="retire_s = 1")
    sock = Connected.upgraded(it, pki, "/ws")
    assert it.admin("upgrade")["upgraded"]
    until(lambda: not Connected.lives(sock), 30)
    until(lambda: not retired(it) or None, 30)
    assert it.line(lambda x: x["status"] == 101)["end"] == "connection/draining"
    assert ask(it, pki) == 404, "and the next one serves"


def test_a_stop_drains_the_engine_before_as_well(edge: Edges, raw: Raws, pki: Pki) -> None:
    it = edge(PLAIN.format(name="ws", port=raw(upgrading).port, more=WEBSOCKETS), drain_s=1)
    sock = Connected.upgraded(it, pki, "/ws")
    before = hello(it).pid
    assert it.admin("upgrade")["upgraded"]
    assert it.edge.stop() == 0
    assert not Connected.lives(sock)
    assert not Path(f"/proc/{before}").exists(), "nobody is left behind"


def test_a_supervisor_that_dies_leaves_both_engines_and_the_next_one_has_both(edge: Edges, raw: Raws, pki: Pki) -> None:
    it = edge(PLAIN.format(name="ws", port=raw(upgrading).port, more=WEBSOCKETS))
    sock = Connected.upgraded(it, pki, "/ws")
    before = hello(it).pid
    assert it.admin("upgrade")["upgraded"]
    serving = hello(it).pid
    it.edge.process.kill()
    it.edge.process.wait(10)
    it.edge = Edge(it.config)
    it.edge.wait_for("adopted the engine", 30)
    it.edge.wait_for("ready:", 30)
    assert hello(it).pid == serving and [e["pid"] for e in retired(it)] == [before]
    assert Connected.lives(sock) and ask(it, pki) == 404
    sock.close()
    until(lambda: not retired(it) or None, 30)
    until(lambda: not Path(f"/proc/{before}").exists() or None, 30)


def test_an_engine_whose_socket_lost_its_name_is_found_again(edge: Edges, raw: Raws, pki: Pki) -> None:
    """Who cleans up temporary files takes it, and the next supervisor would start another engine beside it."""
    it = edge(PLAIN.format(name="ws", port=raw(upgrading).port, more=WEBSOCKETS))
    sock = Connected.upgraded(it, pki, "/ws")
    path = engine_socket(it.folder / "admin.sock")
    before = hello(it).pid
    path.unlink()
    it.edge.wait_for("was gone and is back", 20)
    assert hello(it).pid == before
    it.edge.process.kill()
    it.edge.process.wait(10)
    it.edge = Edge(it.config)
    it.edge.wait_for(f"adopted the engine with pid {before}", 30)
    it.edge.wait_for("ready:", 30)
    assert Connected.lives(sock)
    path.unlink()
    assert it.admin("upgrade")["upgraded"], "an engine without a name can be followed, too"
    assert Connected.lives(sock) and hello(it).pid != before


def test_both_engines_write_to_the_log_that_is_opened_anew(edge: Edges, raw: Raws, pki: Pki) -> None:
    it = edge(PLAIN.format(name="ws", port=raw(upgrading).port, more=WEBSOCKETS))
    sock = Connected.upgraded(it, pki, "/ws")
    assert it.admin("upgrade")["upgraded"]
    it.log.rename(it.folder / "old.log")
    it.edge.process.send_signal(signal.SIGUSR1)
    it.edge.wait_for("access log reopened", 20)
    assert ask(it, pki) == 404
    sock.close()
    assert it.line(lambda x: x["status"] == 101)["route"] == "ws"
    assert it.line(lambda x: x["status"] == 404)
    assert os.path.exists(it.folder / "old.log")


def by_itself(attach: Callable[[], None]) -> str:
    """As a supervisor that dies right after: in a process of its own."""
    pid = os.fork()
    if pid == 0:
        code = 1
        with contextlib.suppress(BaseException):
            try:
                attach()
                code = 0
            except EngineRefused:
                code = 7
        os._exit(code)
    return {0: "attached", 7: "refused"}.get(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), "failed")


def test_an_adopted_engine_of_another_version_that_cannot_take_the_plan_is_followed(
    edge: Edges, raw: Raws, pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an update of the whole package; one of the same version that refuses it is a fault, and told as one."""
    it = edge(PLAIN.format(name="ws", port=raw(upgrading).port, more=WEBSOCKETS))
    sock = Connected.upgraded(it, pki, "/ws")
    before = hello(it).pid
    it.edge.process.kill()
    it.edge.process.wait(10)
    compiled = compile_file(it.config)

    def refusing(*_: object) -> None:
        raise EngineRefused("apply", Declined(protocol=1, answer="refused", slug="engine/plan", why="unknown field"))

    monkeypatch.setattr(Keeper, "bring", refusing)
    for version, follows in ((everyhop.__version__, False), ("another", True)):
        monkeypatch.setattr(upgrade, "__version__", version)
        path = engine_socket(it.folder / "admin.sock")
        ended = by_itself(lambda path=path: upgrade.attach(Keeper(path, lasting(compiled, 1), compiled)))  # type: ignore[misc]
        assert ended == ("attached" if follows else "refused")
        assert (hello(it).pid != before) is follows and Connected.lives(sock)
    monkeypatch.undo()
    assert ask(it, pki) == 404
    it.edge = Edge(it.config)
    it.edge.wait_for("ready:", 30)
    assert Connected.lives(sock) and [e["pid"] for e in retired(it)] == [before]

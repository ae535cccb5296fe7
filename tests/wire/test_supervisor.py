"""What goes wrong around the supervisor costs that one thing: it goes on, the engine is never left alone, and what a
reload does not make hold it does not claim."""

from __future__ import annotations

import datetime as dt
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from everyhop.admin import Client
from everyhop.demo.backends import Backend
from everyhop.demo.certificates import put
from everyhop.demo.stage import Edge, free_port
from everyhop.errors import EveryhopError
from tests.kit import EdgeKit, Pki, exchange, tls
from tests.kit.edge import until
from tests.kit.halt import halt
from tests.kit.process import children, open_files

Edges = Callable[..., EdgeKit]

GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"


def route(port: int, more: str = "") -> str:
    return f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n{more}\n'


@pytest.fixture
def backend() -> Iterator[Backend]:
    it = Backend("b")
    yield it
    it.close()


def ask(it: EdgeKit, pki: Pki) -> int:
    with tls(it.port, "a.test", pki.public.file) as sock:
        return exchange(sock, GET).status


def engine_of(it: EdgeKit) -> int:
    (pid,) = children(it.edge.process.pid)
    return pid


def is_unharmed(it: EdgeKit, pki: Pki, engine: int) -> bool:
    """The same engine, a supervisor that answers, a client that is served."""
    return it.edge.process.poll() is None and engine_of(it) == engine and ask(it, pki) == 200 and bool(it.status())


def is_alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


# The log.


def test_a_log_that_cannot_be_reopened_costs_neither_the_supervisor_nor_a_client(
    edge: Edges, backend: Backend, pki: Pki
) -> None:
    it = edge(route(backend.port))
    engine = engine_of(it)
    aside = it.folder / "aside.log"
    it.log.rename(aside)
    it.log.mkdir()
    it.edge.process.send_signal(signal.SIGUSR1)
    it.edge.wait_for("cannot write the access log", 10)
    assert is_unharmed(it, pki, engine)
    # An engine that dies meanwhile is followed; lines go where they went.
    os.kill(engine, signal.SIGKILL)
    it.edge.wait_for("the engine is back", 20)
    before = aside.read_text().count("\n")
    assert ask(it, pki) == 200
    until(lambda: aside.read_text().count("\n") > before)
    # And so is a supervisor.
    pid = engine_of(it)
    it.edge.process.kill()
    it.edge.process.wait(10)
    it.edge = Edge(it.config)
    it.edge.wait_for(f"adopted the engine with pid {pid}", 20)
    it.edge.wait_for("ready:", 20)
    assert ask(it, pki) == 200
    it.log.rmdir()
    it.edge.process.send_signal(signal.SIGUSR1)
    it.edge.wait_for("access log reopened", 10)
    assert ask(it, pki) == 200
    assert it.line(lambda x: x["route"] == "r")


# Nobody listens.


def test_a_reader_of_its_standard_error_that_leaves_ends_neither_supervisor_nor_drain(
    edge: Edges, backend: Backend, pki: Pki
) -> None:
    it = edge(route(backend.port))
    assert it.edge.stop() == 0
    command = [sys.executable, "-m", "everyhop", "run", "--config", str(it.config)]
    alone = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert alone.stderr is not None
    try:
        assert any("ready:" in line for line in alone.stderr)
        alone.stderr.close()
        (engine,) = children(alone.pid)
        alone.send_signal(signal.SIGHUP)
        until(lambda: Client(str(it.config)).ask("status")["supervisor"]["last_reload"])  # type: ignore[index]
        assert it.reload(route(backend.port, "priority = 1"))["reloaded"] and ask(it, pki) == 200
        alone.terminate()
        assert alone.wait(30) == 0
        until(lambda: not is_alive(engine))
    finally:
        alone.kill()
        it.edge = Edge(it.config)
        it.edge.wait_for("ready:", 30)


def test_streams_that_were_closed_lead_nowhere_for_the_supervisor_and_its_engine(
    edge: Edges, backend: Backend, pki: Pki
) -> None:
    it = edge(route(backend.port))
    assert it.edge.stop() == 0
    command = ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", sys.executable, "-m", "everyhop", "run", "--config"]
    alone = subprocess.Popen([*command, str(it.config)])
    try:
        until(lambda: is_answering(it))
        (engine,) = children(alone.pid)
        leads = [os.readlink(f"/proc/{pid}/fd/{fd}") for pid in (alone.pid, engine) for fd in (1, 2)]
        assert leads == [os.devnull] * 4 and ask(it, pki) == 200
        alone.terminate()
        assert alone.wait(30) == 0
    finally:
        alone.kill()
        it.edge = Edge(it.config)
        it.edge.wait_for("ready:", 30)


def is_answering(it: EdgeKit) -> bool:
    try:
        return bool(it.status())
    except EveryhopError:
        return False


# What stands in files.

ACCEPTED = '[route.acceptance]\nowner = "me"\nwhy = "test"\ncontext = "legacy"\nsince = {}\nuntil = {}\n'
NEXT_YEAR = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=300)
TODAY = dt.datetime.now(dt.UTC).date()
NESTED = "[" * 3000 + "]" * 3000
HARD = {
    "a date without a tomorrow": ("off_host = true\n" + ACCEPTED.format(TODAY, "9999-12-31"), "acceptance/dates"),
    "arrays in arrays": (f"headers = {NESTED}", "config/syntax"),
    "a number of 5,000 digits": (f"priority = {'9' * 5000}", "config/syntax"),
}


@pytest.mark.parametrize("what", HARD)
def test_a_configuration_that_no_library_expects_is_refused_by_a_reload(
    edge: Edges, backend: Backend, pki: Pki, what: str
) -> None:
    it = edge(route(backend.port))
    engine = engine_of(it)
    more, slug = HARD[what]
    answer = it.reload(route(backend.port, more))
    assert not answer["reloaded"] and [f["slug"] for f in answer["findings"]] == [slug]
    assert is_unharmed(it, pki, engine)


@pytest.fixture
def own(edge: Edges, backend: Backend, pki: Pki) -> EdgeKit:
    """An edge with a certificate of its own, which a test may change."""
    it = edge(route(backend.port))
    for name in ("edge.pem", "edge.key"):
        put(it.folder / name, (pki.folder / name).read_bytes(), 0o600)
    it.config.write_text(it.config.read_text().replace(f"{pki.folder}/edge.", f"{it.folder}/edge."))
    assert it.admin("reload")["reloaded"]
    return it


def test_a_certificate_on_a_curve_that_nobody_knows_leaves_the_last_good_one(own: EdgeKit, pki: Pki) -> None:
    engine = engine_of(own)
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp112r1", "-nodes"]
    subprocess.run(
        [*request, "-subj", "/CN=a.test", "-keyout", "/dev/null", "-out", str(own.folder / "edge.pem")],
        check=True,
        capture_output=True,
    )
    own.edge.wait_for("files changed and cannot be used", 20)
    assert is_unharmed(own, pki, engine)
    answer = own.admin("reload")
    assert [f["slug"] for f in answer["findings"]] == ["certificate/unreadable"]


def serial(it: EdgeKit, pki: Pki) -> str:
    with tls(it.port, "a.test", pki.public.file) as sock:
        certificate: Any = sock.getpeercert()
        return str(certificate["serialNumber"])


def test_a_certificate_that_is_renewed_during_a_reload_is_served(own: EdgeKit, backend: Backend, pki: Pki) -> None:
    engine, before = engine_of(own), serial(own, pki)
    own.config.write_text(own.config.read_text().replace('name = "r"\n', 'name = "r"\npriority = 7\n'))
    mark = len(own.edge.said)
    halt(engine)
    try:
        own.edge.process.send_signal(signal.SIGHUP)
        # It was compiled, and waits for the engine: the sealed material is on its way.
        until(lambda: any("memfd:material" in fd for fd in open_files(own.edge.process.pid)))
        renewed = pki.public.leaf("edge-renewed", "a.test", "b.test", "c.test", "*.w.test")
        put(own.folder / "edge.key", renewed.key.read_bytes(), 0o600)
        put(own.folder / "edge.pem", renewed.chain.read_bytes(), 0o600)
    finally:
        os.kill(engine, signal.SIGCONT)
    own.edge.wait_for("reloaded, plan", 20, after=mark)
    until(lambda: serial(own, pki) != before)


def test_a_key_that_others_may_read_now_is_told_while_it_runs(own: EdgeKit, pki: Pki) -> None:
    (own.folder / "edge.key").chmod(0o644)
    own.edge.wait_for("can be used by others (mode 0644)", 20)
    assert ask(own, pki) == 200


# What only a start makes hold.


@pytest.mark.parametrize("what", ["sandbox", "user", "socket", "status"])
def test_a_reload_that_cannot_hold_as_a_whole_says_so_and_changes_nothing(
    edge: Edges, backend: Backend, pki: Pki, what: str
) -> None:
    it = edge(route(backend.port))
    before = it.status()
    text = it.config.read_text().replace('name = "r"\n', 'name = "r"\npriority = 7\n')
    it.config.write_text(
        {
            "sandbox": text.replace("[engine]\n", '[engine]\nsandbox = "off"\n'),
            "user": text.replace("[engine]\n", '[engine]\nuser = "daemon"\n'),
            "socket": text.replace("admin.sock", "other.sock"),
            "status": text + f'[status]\nbind = "127.0.0.1:{free_port()}"\n',
        }[what]
    )
    mark = len(it.edge.said)
    it.edge.process.send_signal(signal.SIGHUP)
    line = it.edge.wait_for("restart needed", 20, after=mark)
    assert f"{what} cannot change" in line or "bind cannot change" in line
    it.config.write_text(it.config.read_text().replace("other.sock", "admin.sock"))
    after = it.status()
    assert (after["plan_digest"], after["generation"]) == (before["plan_digest"], before["generation"])
    assert ask(it, pki) == 200


def test_a_listeners_name_is_only_a_name(edge: Edges, backend: Backend, pki: Pki) -> None:
    it = edge(route(backend.port), threads=2)
    text = it.config.read_text()
    with tls(it.port, "a.test", pki.public.file) as sock:
        for name in ("outside", "public", "outside"):
            it.config.write_text(text.replace('name = "public"', f'name = "{name}"'))
            assert it.admin("reload")["reloaded"]
            assert exchange(sock, GET).status == 200, "nobody is disturbed"
            for _ in range(8):
                assert ask(it, pki) == 200
    os.kill(engine_of(it), signal.SIGKILL)
    it.edge.wait_for("the engine is back", 20)
    assert ask(it, pki) == 200


def follow(it: EdgeKit, engine: int) -> None:
    """Replaces the supervisor by the next one, as an update does."""
    it.edge.process.kill()
    it.edge.process.wait(10)
    it.edge = Edge(it.config)
    it.edge.wait_for(f"adopted the engine with pid {engine}", 20)
    it.edge.wait_for("ready:", 20)


def livez(port: int) -> int:
    with urlopen(f"http://127.0.0.1:{port}/livez") as answer:
        return int(answer.status)


def test_an_address_for_the_status_that_comes_with_a_new_supervisor_is_there(
    edge: Edges, backend: Backend, pki: Pki
) -> None:
    it = edge(route(backend.port))
    engine, port = engine_of(it), free_port()
    it.more = f'[status]\nbind = "127.0.0.1:{port}"\n'
    it.write(route(backend.port))
    follow(it, engine)
    assert livez(port) == 200 and ask(it, pki) == 200
    # Another one than the engine has does not hold, and that is said at once and at each reload.
    it.more = f'[status]\nbind = "127.0.0.1:{free_port()}"\n'
    it.write(route(backend.port))
    follow(it, engine)
    it.edge.wait_for("restart needed: [status] bind cannot change", 1)
    answer = it.admin("reload")
    assert not answer["reloaded"] and "[status] bind cannot change" in answer["why"]
    assert livez(port) == 200 and ask(it, pki) == 200


# Who starts, and who asks.


def test_a_start_that_fails_leaves_no_engine_behind(edge: Edges, backend: Backend) -> None:
    it = edge(route(backend.port))
    assert it.edge.stop() == 0
    with socket.create_server(("127.0.0.1", 0)) as taken:
        it.more = f'[status]\nbind = "127.0.0.1:{taken.getsockname()[1]}"\n'
        it.write(route(backend.port))
        mark = f"LC_EVERYHOP_TEST={it.folder}"
        it.edge = Edge(it.config, under=["env", mark])
        assert it.edge.process.wait(30) == 4
        it.edge.listener.join(10)
        assert "is in use" in "\n".join(it.edge.said)
        left = [p for p in Path("/proc").glob("[0-9]*") if mark.encode() in environment(p)]
    assert left == []
    it.more = ""
    it.write(route(backend.port))
    it.edge = Edge(it.config)
    it.edge.wait_for("ready:", 30)
    assert not any("adopted" in line for line in it.edge.said)


def environment(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:
        return b""


def test_silent_clients_of_the_admin_socket_delay_nothing(edge: Edges, backend: Backend, pki: Pki) -> None:
    it = edge(route(backend.port))
    engine = engine_of(it)
    silent = []
    for _ in range(8):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(it.folder / "admin.sock"))
        silent.append(sock)
    os.kill(engine, signal.SIGKILL)
    began = time.monotonic()
    it.edge.wait_for("the engine is back", 20)
    assert time.monotonic() - began < 4, "one of them alone would have taken five seconds"
    assert it.status()["generation"] == 1 and ask(it, pki) == 200
    for sock in silent:
        sock.close()


def test_many_threads_on_many_addresses_start_are_adopted_and_reload(edge: Edges, backend: Backend, pki: Pki) -> None:
    """More sockets than descriptors ride on one message: 64 threads on 4 addresses."""
    ports = [free_port() for _ in range(4)]
    binds = ", ".join(f'"127.0.0.1:{port}"' for port in ports[1:])
    it = edge(route(backend.port), threads=64, more=f'[[listener]]\nname = "more"\nbind = [{binds}]\n')
    assert ask(it, pki) == 200
    follow(it, engine_of(it))
    for n in range(3):
        it.config.write_text(it.config.read_text().replace('name = "r"\n', f'name = "r"\n# {n}\n'))
        assert it.admin("reload")["reloaded"]
    for port in (it.port, *ports[1:]):
        for _ in range(8):
            with tls(port, "a.test", pki.public.file) as sock:
                assert exchange(sock, GET).status == 200


def test_a_question_that_the_supervisor_does_not_know_is_refused_and_it_goes_on(
    edge: Edges, backend: Backend, pki: Pki
) -> None:
    it = edge(route(backend.port))
    engine = engine_of(it)
    with pytest.raises(EveryhopError, match="admin/malformed"):
        it.admin("dance")
    with pytest.raises(EveryhopError, match="admin/malformed"):
        it.admin("where", host="a.test")
    assert is_unharmed(it, pki, engine)


def test_what_is_asked_during_a_long_reload_is_answered_after_it(edge: Edges, backend: Backend, pki: Pki) -> None:
    it = edge(route(backend.port))
    engine = engine_of(it)
    halt(engine)
    answers: list[dict[str, Any]] = []
    asking = [threading.Thread(target=lambda: answers.append(it.admin("reload"))) for _ in range(3)]
    for thread in asking:
        thread.start()
    os.kill(engine, signal.SIGCONT)
    for thread in asking:
        thread.join(30)
    assert [answer["reloaded"] for answer in answers] == [True] * 3
    assert is_unharmed(it, pki, engine)


# Signals that were meant for somebody else.


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2], ids=lambda n: n.name)
def test_a_signal_that_reaches_the_wrong_process_ends_nothing(
    edge: Edges, backend: Backend, pki: Pki, number: signal.Signals
) -> None:
    """Whoever rotates logs by name signals both; by default each of these ends a process."""
    it = edge(route(backend.port))
    engine = engine_of(it)
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").status == 200
        mark = len(it.edge.said)
        # Another engine is what SIGUSR2 asks of the supervisor: `test_upgrade.py`.
        words = {signal.SIGHUP: "reloaded", signal.SIGUSR1: "access log reopened"}
        for _ in range(3):
            os.kill(engine, number)
            if number in words:
                it.edge.process.send_signal(number)
        if number in words:
            it.edge.wait_for(words[number], 20, after=mark)
        assert exchange(sock, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").status == 200
    assert is_unharmed(it, pki, engine)
    assert it.admin("status")["supervisor"]["engine_restarts"] == 0


def test_an_admin_socket_whose_name_was_taken_away_comes_back(edge: Edges, backend: Backend, pki: Pki) -> None:
    """By whoever cleans up temporary files. What somebody else puts there is left to them."""
    it = edge(route(backend.port))
    engine, path = engine_of(it), it.folder / "admin.sock"
    for _ in range(2):
        mark = len(it.edge.said)
        path.unlink()
        it.edge.wait_for("was gone and is back", 20, after=mark)
        assert it.admin("status")["supervisor"]["engine_restarts"] == 0
        assert it.admin("reload")["reloaded"]
    second = it.cli("run", "--config", str(it.config))
    assert second.returncode == 4 and "answers at" in second.stderr
    path.unlink()
    path.write_text("theirs")
    for _ in range(3):
        # Each turn of the supervisor's loop is heard of by a signal that it answers.
        mark = len(it.edge.said)
        it.edge.process.send_signal(signal.SIGUSR1)
        it.edge.wait_for("access log reopened", 20, after=mark)
    assert ask(it, pki) == 200
    assert path.read_text() == "theirs"
    path.unlink()
    until(lambda: path.is_socket() and is_unharmed(it, pki, engine))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("d" * 90 + "/" + "e" * 90, id="deeper than a name of a socket"),
        pytest.param(os.fsdecode(b"b\xfcro"), id="whose name is not of UTF-8"),
    ],
)
def test_an_edge_lives_in_any_folder(tmp_path: Path, backend: Backend, name: str) -> None:
    """Its sockets are made, found, moved aside and asked there, by whatever number the processes have."""
    folder = tmp_path / name
    folder.mkdir(parents=True)
    config = folder / "everyhop.toml"
    listener = f'[[listener]]\nname = "public"\nbind = ["127.0.0.1:{free_port()}"]\n'
    hop = f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "passthrough"\nto = ["127.0.0.1:{backend.port}"]\n'
    config.write_text(f'version = 1\n[admin]\nsocket = "admin.sock"\n{listener}{hop}')
    it = Edge(config)
    try:
        it.wait_for("ready:")

        def asked(command: str) -> str:
            arguments = [sys.executable, "-m", "everyhop", command, "--config", str(config)]
            done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=60)
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout

        assert "nothing is wrong" in asked("status")
        asked("reload")
        asked("upgrade")
        assert "nothing is wrong" in asked("status")
    finally:
        assert it.stop() == 0, it.said
    assert [one.name for one in folder.iterdir() if one.is_socket()] == []


def test_an_edge_whose_starter_hears_of_no_childs_end_runs_as_any_other(
    edge: Edges, pki: Pki, backend: Backend
) -> None:
    """Which is inherited: then the kernel keeps of no process how it ended."""
    it = edge(route(backend.port), under=("env", "--ignore-signal=CHLD"))
    before = engine_of(it)
    assert it.reload(route(backend.port, "[route.deadlines]\ntotal_s = 9"))
    os.kill(before, signal.SIGKILL)
    until(lambda: children(it.edge.process.pid) not in ([], [before]) or None)
    it.edge.wait_for("the engine is gone (ended by SIGKILL)")
    until(lambda: ask(it, pki) == 200 or None)

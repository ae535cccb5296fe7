"""The images of deploy/container, run: as their user, on a root that is read-only, by the words that the pages say."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from everyhop.demo.stage import free_port
from tests.containers.podman import Container, podman, there
from tests.kit import Pki, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.guards import asked
from tests.kit.own_ca import OwnCa, Served
from tests.kit.raw import OK, answering
from tests.wire.test_guard_enrol import TOLD, at, token

Raws = Callable[..., Raw]
Runs = Callable[..., Container]
USER = 10001
GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
HARDENED = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
PAGE = Path(__file__).parents[2] / "docs/how-to/install.md"
EDGE, BACKEND = "edge.corp.example", "backend.corp.example"


@pytest.fixture
def runs() -> Iterator[Runs]:
    """`podman run` with these words, until the end of the test; they are in the host's network, where the test is."""
    there()
    begun: list[Container] = []

    def start(*words: str) -> Container:
        begun.append(Container(f"test-{secrets.token_hex(4)}", *words))
        return begun[-1]

    yield start
    for it in reversed(begun):
        it.end()


@pytest.fixture
def own(tmp_path: Path) -> OwnCa:
    return OwnCa(tmp_path, *TOLD)


@pytest.fixture
def served(own: OwnCa) -> Iterator[Served]:
    it = own.served()
    yield it
    assert it.stop() == 0


def configured(folder: Path, pki: Pki, port: int, backend: int) -> Path:
    """What is mounted: files of the image's user, whose key nobody else reads."""
    folder.mkdir()
    for name in ("edge.pem", "edge.key"):
        shutil.copy(pki.folder / name, folder / name)
    (folder / "everyhop.toml").write_text(
        f'version = 1\n[[listener]]\nname = "public"\nbind = ["127.0.0.1:{port}"]\n'
        '[[site]]\nname = "s"\nhosts = ["a.test"]\ncerts = [{ chain = "edge.pem", key = "file:edge.key" }]\n'
        f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{backend}"]\n'
    )
    for file in folder.iterdir():
        file.chmod(0o600 if file.suffix == ".key" else 0o644)
        os.chown(file, USER, USER)
    return folder


def test_an_edge_serves_on_a_read_only_root_and_ends_what_is_in_flight_when_it_is_stopped(
    runs: Runs, raw: Raws, pki: Pki, tmp_path: Path
) -> None:
    came, goes = threading.Event(), threading.Event()

    def slow(sock: socket.socket, record: object) -> None:
        came.set()
        assert goes.wait(60)
        answering(OK)(sock, record)  # type: ignore[arg-type]

    assert " ".join(HARDENED) in PAGE.read_text()
    port = free_port()
    folder = configured(tmp_path / "etc", pki, port, raw(slow).port)
    it = runs("--network", "host", *HARDENED, "--volume", f"{folder}:/etc/everyhop:ro", "everyhop")
    it.says("ready:")
    status = it.does("everyhop", "status")
    assert f"engine runs as uid {USER}" in status and "no_new_privs, seccomp" in status, status
    assert f"uid={USER}(everyhop) gid={USER}(everyhop)" in it.does("id")
    codes: list[int] = []
    with tls(port, "a.test", pki.public.file) as sock:
        asking = threading.Thread(target=lambda: codes.append(exchange(sock, GET).status))
        asking.start()
        assert came.wait(30)
        ended: list[int] = []
        stopping = threading.Thread(target=lambda: ended.append(it.stop()))
        stopping.start()
        it.says("draining for at most")
        assert not codes and not ended
        goes.set()
        asking.join(60)
        stopping.join(90)
    assert (codes, ended) == ([200], [0]), it.said
    assert "stopped" in it.said.splitlines()[-1]


def test_a_key_that_the_image_s_user_cannot_read_is_told_with_its_mend(
    runs: Runs, raw: Raws, pki: Pki, tmp_path: Path
) -> None:
    folder = configured(tmp_path / "etc", pki, free_port(), raw(answering(OK)).port)
    words = ("--network", "host", *HARDENED, "--volume", f"{folder}:/etc/everyhop:ro", "everyhop")
    podman("run", "--rm", *words, "check", "/etc/everyhop/everyhop.toml")  # The baseline: it would have run.
    os.chown(folder / "edge.key", 0, 0)
    it = runs(*words)
    until(lambda: not it.told("State.Running"), 60, lambda: it.said)
    assert it.told("State.ExitCode") == 1 and "edge.key" in it.said and "mend" in it.said, it.said


def guarded(runs: Runs, served: Served, given: str) -> tuple[Container, int]:
    """As how-to/guard-a-backend.md has it: beside a backend, in its network."""
    behind, port = free_port(), free_port()
    answers = ("--entrypoint", "python3", "everyhop", "-m", "http.server", str(behind), "--bind", "127.0.0.1")
    backend = runs("--network", "host", *answers, "--directory", "/opt")
    words = ["--listen", f"127.0.0.1:{port}", "--to", f"127.0.0.1:{behind}", "--admit", EDGE]
    it = runs(
        *("--network", f"container:{backend.name}", *HARDENED, "--volume", "/var/lib/everyhop-guard"),
        *("--env", f"TOKEN={given}", "everyhop-guard", *words, "--enroll", f"env:TOKEN@{at(served)}"),
    )
    return it, port


def test_a_guard_enrols_admits_the_edge_alone_and_goes_on_with_what_its_volume_kept(
    runs: Runs, own: OwnCa, served: Served, tmp_path: Path
) -> None:
    it, port = guarded(runs, served, token(own, BACKEND))
    it.says("ready:")
    assert f"has a certificate of {BACKEND}" in it.said and 'to = ["THIS-HOST:' in it.said
    edge, other = own.leaf(tmp_path / "edge", EDGE), own.leaf(tmp_path / "other", "other.corp.example")
    until(lambda: asked(port, own.roots, edge) == 200)
    assert asked(port, own.roots, other) == 403
    with pytest.raises(OSError):
        asked(port, own.roots, None)
    assert it.does("stat", "-c", "%a %u", "/var/lib/everyhop-guard").split() == ["700", str(USER)]
    assert it.stop() == 0, it.said
    # The token is used; what the volume has is enough.
    podman("start", it.name)
    until(lambda: it.said.count("ready:") == 2, 60, lambda: it.said)
    assert asked(port, own.roots, edge) == 200
    assert it.stop() == 0, it.said


def test_a_guard_whose_token_is_not_good_ends_and_serves_nothing(runs: Runs, own: OwnCa, served: Served) -> None:
    given = token(own, BACKEND)
    own.does("token", "--withdraw", BACKEND)
    it, port = guarded(runs, served, given)
    until(lambda: not it.told("State.Running"), 60, lambda: it.said)
    assert it.told("State.ExitCode") == 1 and "answered 403" in it.said and "ready:" not in it.said, it.said
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)

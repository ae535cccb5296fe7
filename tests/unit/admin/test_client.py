"""Whoever asks a supervisor and is not answered is told why, and what helps: another is started only where none is there."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from everyhop.admin.client import Client, NotThere
from everyhop.admin.supervisor import Supervisor
from everyhop.engine.frames import Late, Lost, Nobody, connect, listening
from everyhop.errors import Surroundings


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "everyhop.toml"
    file.write_text(f'version = 1\n[admin]\nsocket = "{tmp_path}/admin.sock"\n')
    return str(file)


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with listening(tmp_path / "admin.sock") as sock:
        yield sock


def test_where_nobody_listens_a_supervisor_is_to_be_started(config: str, tmp_path: Path) -> None:
    start = r"^no supervisor answers at .*/admin\.sock; start one: everyhop run$"
    with pytest.raises(NotThere, match=start):
        Client(config)
    listening(tmp_path / "admin.sock").close()
    with pytest.raises(NotThere, match=start):
        Client(config)
    with pytest.raises(Nobody):
        connect(tmp_path / "admin.sock", 1.0)


def test_a_supervisor_that_does_not_answer_in_time_may_have_done_what_it_was_asked(
    config: str, listener: socket.socket
) -> None:
    client = Client(config, 0.05)
    with pytest.raises(
        Surroundings, match=r"did not answer within 0\.05 s; it may still do what it was asked \(reload\)"
    ) as e:
        client.ask("reload")
    assert not isinstance(e.value, Lost | NotThere) and "start one" not in str(e.value)


def test_a_supervisor_that_hears_nobody_is_not_said_to_be_none(config: str, listener: socket.socket) -> None:
    listener.listen(0)
    with ExitStack() as waiting:
        with pytest.raises(Late):
            for _ in range(10):
                waiting.enter_context(connect(Path(listener.getsockname()).with_name("admin.sock"), 0.05))
        with pytest.raises(Surroundings, match=r"hears nobody: .*; is it stopped\?"):
            Client(config, 0.05)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is another user for a while")
def test_a_supervisor_of_another_user_is_not_said_to_be_none(config: str, listener: socket.socket) -> None:
    # Whose a listening socket is the kernel notes when it begins to listen.
    os.seteuid(pwd.getpwnam("nobody").pw_uid)
    listener.listen(8)
    os.seteuid(0)
    with pytest.raises(Surroundings, match=r"belongs to another user \(\d+\); ask as the user that runs it"):
        Client(config)


def refused_beside(path: Path) -> str:
    it = object.__new__(Supervisor)
    it.admin_path = path
    with pytest.raises(Surroundings) as e:
        it.refuse_a_second()
    return str(e.value)


def test_no_supervisor_begins_beside_one_that_hears_nobody(listener: socket.socket) -> None:
    path = Path(listener.getsockname()).with_name("admin.sock")
    assert "a supervisor answers at" in refused_beside(path)
    listener.listen(0)
    with ExitStack() as waiting:
        with pytest.raises(Late):
            for _ in range(10):
                waiting.enter_context(connect(path, 0.05))
        assert "a supervisor may be at" in refused_beside(path)

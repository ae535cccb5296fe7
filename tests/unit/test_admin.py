"""Who gets an answer at the admin socket, and where it may lie."""

from __future__ import annotations

import os
import pwd
import selectors
import socket
from pathlib import Path
from typing import cast

import pytest

from everyhop.admin.server import Server
from everyhop.admin.supervisor import Supervisor
from everyhop.engine import Lost, receive, send
from everyhop.engine.control import listening
from everyhop.errors import Surroundings


class Stub:
    """As much of a supervisor as a question needs that is none."""

    def __init__(self) -> None:
        self.engine_pid = 0
        self.selector = selectors.DefaultSelector()


def answered(server: Server, path: Path) -> dict[str, object] | None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))
        sock.settimeout(10)
        send(sock, {"protocol": 1, "ask": "nothing"})
        server.serve_waiting()
        try:
            answer = receive(sock)
        except Lost:
            return None  # it closed over what it did not read
        return None if answer is None else answer[0]


def test_an_engine_that_asks_the_supervisor_is_not_answered(tmp_path: Path) -> None:
    """The engine may be of the supervisor's user; taken over, it could ask for a stop."""
    stub, path = Stub(), tmp_path / "admin.sock"
    with Server(cast(Supervisor, stub), path) as server:
        answer = answered(server, path)
        assert answer is not None and answer["slug"] == "admin/malformed", "the baseline: others are"
        stub.engine_pid = os.getpid()
        assert answered(server, path) is None
        stub.engine_pid = 0
        assert answered(server, path) is not None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a folder to another user")
def test_a_socket_is_not_made_in_a_folder_of_another_user(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    with listening(folder / "admin.sock"):
        pass
    os.chown(folder, pwd.getpwnam("nobody").pw_uid, -1)
    with pytest.raises(Surroundings, match="belongs to another user"):
        listening(folder / "other.sock")
    assert not (folder / "other.sock").exists()

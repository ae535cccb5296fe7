"""Who gets an answer at the admin socket, how long they may take, and where it may lie."""

from __future__ import annotations

import os
import pwd
import selectors
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from everyhop.admin.server import MOST, PATIENCE_S, Server
from everyhop.engine.frames import listening, packed, receive, send
from everyhop.errors import Surroundings
from tests.kit.clients import opened


class Ground:
    """A server that says what it was asked, turned by hand."""

    def __init__(self, path: Path) -> None:
        self.path, self.engine_pid = path, 0
        self.selector = selectors.DefaultSelector()
        self.asked: list[object] = []
        self.answer: Callable[[dict[str, object]], dict[str, object]] = self.echo
        self.server = Server(path, self.selector, lambda q: self.answer(q), lambda pid: pid == self.engine_pid)

    def echo(self, question: dict[str, object]) -> dict[str, object]:
        self.asked.append(question.get("ask"))
        return {"answer": "echo", "ask": question.get("ask")}

    def connect(self) -> socket.socket:
        sock = opened(socket.socket(socket.AF_UNIX))
        sock.settimeout(10)
        sock.connect(str(self.path))
        return sock

    def turn(self) -> None:
        for key, _ in self.selector.select(0):
            key.data()


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    it = Ground(tmp_path / "admin.sock")
    yield it
    it.selector.close()


def is_closed(sock: socket.socket) -> bool:
    """By the other side, which may not have read everything."""
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def test_an_engine_that_asks_the_supervisor_is_not_answered(ground: Ground) -> None:
    """The engine may be of the supervisor's user; taken over, it could ask for a stop."""
    with ground.server:
        for engine_pid, want in ((0, 1), (os.getpid(), 1), (0, 2)):
            ground.engine_pid = engine_pid
            with ground.connect() as sock:
                send(sock, packed({"protocol": 1, "ask": "status"}))
                ground.turn()
                assert len(ground.asked) == want
                assert is_closed(sock) if engine_pid else receive(sock) == ({"answer": "echo", "ask": "status"}, [])


def test_a_question_is_the_same_at_whichever_byte_it_is_split(ground: Ground) -> None:
    data = packed({"protocol": 1, "ask": "status"})
    with ground.server:
        for cut in range(1, len(data)):
            with ground.connect() as sock:
                sock.sendall(data[:cut])
                ground.turn()
                ground.turn()
                sock.sendall(data[cut:])
                ground.turn()
                ground.turn()
                assert receive(sock) == ({"answer": "echo", "ask": "status"}, [])


def test_a_silent_client_holds_nobody_up_and_is_let_go(ground: Ground) -> None:
    with ground.server:
        with ground.connect() as silent, ground.connect() as half, ground.connect() as asks:
            half.sendall(b"\x00\x00")
            send(asks, packed({"ask": "status"}))
            began = time.monotonic()
            ground.turn()
            assert receive(asks) is not None
            assert time.monotonic() - began < PATIENCE_S / 2
            ground.server.let_go_of_the_silent(began)
            assert len(ground.server.visitors) == 2, "they have some time"
            ground.server.let_go_of_the_silent(time.monotonic() + PATIENCE_S)
            assert is_closed(silent) and is_closed(half)


def test_a_client_that_takes_no_answer_holds_nobody_up_and_is_let_go(ground: Ground) -> None:
    ground.answer = lambda _: {"answer": "much", "text": "x" * 5_000_000}
    with ground.server, ground.connect() as idle:
        send(idle, packed({"ask": "status"}))
        ground.turn()
        ground.answer = ground.echo
        with ground.connect() as asks:
            send(asks, packed({"ask": "status"}))
            ground.turn()
            assert receive(asks) is not None
        ground.server.let_go_of_the_silent(time.monotonic() + PATIENCE_S)
        assert ground.server.visitors == []


def test_an_answer_that_is_taken_slowly_arrives_whole(ground: Ground) -> None:
    ground.answer = lambda _: {"answer": "much", "text": "x" * 2_000_000}
    with ground.server, ground.connect() as sock:
        send(sock, packed({"ask": "status"}))
        got = bytearray()
        sock.setblocking(False)
        ground.turn()
        while ground.server.visitors:
            got += sock.recv(1 << 16)
            ground.turn()
        sock.settimeout(10)
        while piece := sock.recv(1 << 16):
            got += piece
        assert bytes(got) == packed(ground.answer({}))


def test_the_silent_ones_are_bounded_and_do_not_keep_others_out(ground: Ground) -> None:
    with ground.server:
        silent = []
        for _ in range(3 * MOST):
            silent.append(ground.connect())
            ground.turn()
            assert len(ground.server.visitors) <= MOST
        with ground.connect() as asks:
            send(asks, packed({"ask": "status"}))
            ground.turn()
            assert receive(asks) is not None
        for sock in silent:
            sock.close()


def test_an_error_of_ours_is_answered_and_told(ground: Ground) -> None:
    def broken(_: dict[str, object]) -> dict[str, object]:
        raise RuntimeError("oh")

    ground.answer = broken
    with ground.server, ground.connect() as sock:
        send(sock, packed({"ask": "status"}))
        with pytest.raises(RuntimeError):
            ground.turn()
        got = receive(sock)
        assert got is not None and got[0]["slug"] == "admin/fault"
        assert ground.server.visitors == []


@pytest.mark.parametrize("data", [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\1x", b"\0\0\0\2[]"], ids=repr)
def test_what_is_no_question_is_let_go(ground: Ground, data: bytes) -> None:
    with ground.server, ground.connect() as sock:
        sock.sendall(data)
        ground.turn()
        ground.turn()
        assert is_closed(sock) and ground.asked == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a folder to another user")
def test_a_socket_is_not_made_in_a_folder_of_another_user(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    with listening(folder / "admin.sock"):
        pass
    os.chown(folder, pwd.getpwnam("nobody").pw_uid, -1)
    with pytest.raises(Surroundings, match="belongs to another user"):
        listening(folder / "other.sock")
    assert not (folder / "other.sock").exists()

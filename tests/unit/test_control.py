"""Messages between the processes: whole at whichever byte they are split, with their descriptors."""

from __future__ import annotations

import os
import socket
import struct
import threading
from pathlib import Path

import pytest

from everyhop.engine import Lost, receive, send
from everyhop.engine.control import listening, sealed


def test_a_message_arrives_whole_with_its_descriptors(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    path = tmp_path / "x"
    path.write_text("hello")
    with path.open() as file:
        sent = {"ask": "apply", "text": "é" * 500_000}
        sender = threading.Thread(target=send, args=(ours, sent, [os.dup(file.fileno())]), daemon=True)
        sender.start()
        got = receive(theirs)
        sender.join()
    assert got is not None
    message, fds = got
    assert message["text"] == "é" * 500_000
    assert os.read(fds[0], 100) == b"hello"
    ours.close()
    assert receive(theirs) is None


def test_a_message_is_the_same_at_whichever_byte_it_is_split() -> None:
    body = b'{"ask":"hello","protocol":1}'
    data = struct.pack(">I", len(body)) + body
    for cut in range(1, len(data)):
        ours, theirs = socket.socketpair()
        ours.sendall(data[:cut])
        rest = threading.Timer(0.001, ours.sendall, [data[cut:]])
        rest.start()
        got = receive(theirs)
        rest.join()
        assert got is not None and got[0]["ask"] == "hello"


@pytest.mark.parametrize(
    "data",
    [b"\xff\xff\xff\xff", struct.pack(">I", 3) + b"abc", struct.pack(">I", 2) + b"[]", struct.pack(">I", 9) + b"{"],
)
def test_what_is_no_message_is_told(data: bytes) -> None:
    ours, theirs = socket.socketpair()
    ours.sendall(data)
    ours.close()
    with pytest.raises(Lost):
        receive(theirs)


def test_material_cannot_be_changed_once_it_is_handed_over() -> None:
    fd = sealed(b"key")
    assert os.read(fd, 10) == b"key"
    with pytest.raises(PermissionError):
        os.pwrite(fd, b"x", 0)
    os.close(fd)


def test_a_socket_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "admin.sock"
    with listening(path):
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700

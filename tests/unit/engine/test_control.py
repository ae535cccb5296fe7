"""Messages between the processes: whole at whichever byte they are split, with their descriptors."""

from __future__ import annotations

import os
import socket
import struct
import tempfile
import threading
from pathlib import Path

import pytest

from everyhop.engine.control import Control, EngineRefused, sealed
from everyhop.engine.frames import LONGEST_NAME, MOST_FDS, Lost, connect, listening, packed, receive, send
from everyhop.engine.messages import Hello, Reopened, Welcome
from tests.kit.clients import opened


def test_a_message_arrives_whole_with_its_descriptors(tmp_path: Path) -> None:
    ours, theirs = map(opened, socket.socketpair())
    path = tmp_path / "x"
    path.write_text("hello")
    with path.open() as file:
        sent = {"ask": "apply", "text": "é" * 500_000}
        sender = threading.Thread(target=send, args=(ours, packed(sent), [os.dup(file.fileno())]), daemon=True)
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
        ours, theirs = map(opened, socket.socketpair())
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
    ours, theirs = map(opened, socket.socketpair())
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


@pytest.mark.parametrize("length", [LONGEST_NAME - 6, LONGEST_NAME, LONGEST_NAME + 1, 400])
def test_a_socket_is_found_however_deep_its_folder_lies(length: int) -> None:
    """The name that it is made by, before it has its own, is longer by the number of the process."""
    with tempfile.TemporaryDirectory(prefix="eh-") as short:
        is_found_at(Path(short), length)


def is_found_at(folder: Path, length: int) -> None:
    name = "admin.sock"
    while (left := length - len(str(folder)) - len(name) - 1) > 1:
        folder = folder / ("d" * min(left - 1, 80))
    path = folder / name
    assert abs(len(str(path)) - length) <= 1
    before = set(os.listdir("/proc/self/fd"))
    with listening(path) as sock:
        assert path.stat().st_mode & 0o777 == 0o600
        with connect(path, 5.0) as ours:
            theirs, _ = sock.accept()
            with theirs:
                send(ours, packed({"ask": "hello"}))
                assert receive(theirs) == ({"ask": "hello"}, [])
    assert set(os.listdir("/proc/self/fd")) == before
    with pytest.raises(Lost, match=r"nobody answers at .*: Connection refused"):
        connect(path, 5.0)


def test_more_descriptors_than_ride_on_one_piece_arrive_in_order() -> None:
    """Sixty-four threads on four addresses are 256 sockets."""
    files = [os.memfd_create(str(n)) for n in range(20)]
    for n, fd in enumerate(files):
        os.write(fd, str(n).encode())
    for count in (1, MOST_FDS - 1, MOST_FDS, MOST_FDS + 1, 2 * MOST_FDS, 2 * MOST_FDS + 50):
        ours, theirs = map(opened, socket.socketpair())
        send(ours, packed({"ask": "adopt"}), [files[n % 20] for n in range(count)])
        got = receive(theirs)
        assert got is not None and got[0] == {"ask": "adopt"} and len(got[1]) == count
        for n, fd in enumerate(got[1]):
            assert os.pread(fd, 10, 0) == str(n % 20).encode()
            os.close(fd)
    for fd in files:
        os.close(fd)


def conversation(answer: dict[str, object]) -> Control:
    ours, theirs = map(opened, socket.socketpair())
    send(theirs, packed(answer))
    control = Control(ours)
    control.other = theirs  # type: ignore[attr-defined]  # it stays open
    return control


def test_an_answer_in_another_form_is_none() -> None:
    with pytest.raises(Lost, match="another form: pid"):
        conversation({"protocol": 1, "answer": "welcome"}).must(Hello(), Welcome)
    with pytest.raises(Lost, match="another form: stray"):
        conversation({"protocol": 1, "answer": "reopened", "stray": 1}).must(Hello(), Reopened)
    with pytest.raises(Lost, match="another form: answer"):
        conversation({"protocol": 1, "answer": "named"}).must(Hello(), Reopened)
    assert conversation({"protocol": 1, "answer": "reopened"}).must(Hello(), Reopened)


def test_a_refusal_of_the_engine_names_the_question_and_leaves_the_conversation() -> None:
    control = conversation({"protocol": 1, "answer": "refused", "slug": "engine/plan", "why": "no"})
    with pytest.raises(EngineRefused, match=r"refused 'hello': \[engine/plan\] no"):
        control.must(Hello(), Welcome)
    assert not control.is_closed()
    control.other.close()  # type: ignore[attr-defined]
    assert control.is_closed()


def test_the_more_an_order_brings_the_longer_its_answer_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = map(opened, socket.socketpair())
    ours.settimeout(10)
    theirs.close()
    patience: list[float | None] = []

    def away(sock: socket.socket, *_: object) -> None:
        patience.append(sock.gettimeout())

    monkeypatch.setattr("everyhop.engine.control.send", away)
    monkeypatch.setattr("everyhop.engine.control.receive", away)
    for mib in (0, 50):
        control = Control(ours.dup())
        control.sock.settimeout(10)
        with open(sealed(bytes(mib << 20)), "rb") as material, pytest.raises(Lost):
            control.ask(Hello(), Welcome, [material.fileno()])
    assert [round(it or 0) for it in patience] == [10, 10, 110, 110]


def test_an_answer_restores_what_is_waited_for_and_a_closed_socket_is_lost() -> None:
    ours, theirs = map(opened, socket.socketpair())
    ours.settimeout(10)
    control = Control(ours)
    theirs.sendall(packed({"protocol": 1, "answer": "refused", "slug": "x", "why": "y"}))
    with pytest.raises(EngineRefused):
        control.ask(Hello(), Welcome)
    assert ours.gettimeout() == 10
    control.close()
    with pytest.raises(Lost):
        control.ask(Hello(), Welcome)

"""systemd hears that we live while a step lasts, and does not hear it of a step without end."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from everyhop.admin.loop import Loop
from everyhop.admin.watchdog import STEP_MOST_S, Watchdog


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(str(tmp_path / "notify"))
    sock.settimeout(20)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "60000")
    return sock


def test_a_step_that_lasts_is_told_as_life(systemd: socket.socket) -> None:
    loop = Loop()
    heard: list[bytes] = []

    def step() -> None:
        while len(heard) < 4:
            heard.append(systemd.recv(100))
        loop.stopping = True

    loop.run(lambda _: None, {"certificate files": step}, lambda: 0.0)
    # Its thread would tell the next test's systemd that we live.
    loop.watchdog.ends()
    assert set(heard) == {b"WATCHDOG=1"}
    systemd.close()


def test_a_step_without_end_is_told_as_life_no_longer(systemd: socket.socket) -> None:
    now = [1000.0]
    it = Watchdog(lambda: now[0])
    now[0] += STEP_MOST_S - 1
    it.beat()
    assert systemd.recv(100) == b"WATCHDOG=1"
    now[0] += 1
    it.beat()
    systemd.setblocking(False)
    with pytest.raises(BlockingIOError):
        systemd.recv(100)
    it.turn()
    assert systemd.recv(100) == b"WATCHDOG=1"
    it.beat()
    assert systemd.recv(100) == b"WATCHDOG=1"
    systemd.close()


def test_where_nobody_watches_there_is_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    before = threading.active_count()
    Watchdog().starts()
    assert threading.active_count() == before

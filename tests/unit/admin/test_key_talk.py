"""Whoever hears what keys an engine lacks goes on hearing."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from everyhop.admin.key_servers import KeyServers
from everyhop.admin.key_talk import Ear
from everyhop.engine.control import Control
from everyhop.engine.frames import Lost
from tests.kit.edge import until


def test_a_fault_of_ours_is_told_once_and_the_engine_is_heard_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said: list[str] = []
    wrong: list[Exception] = [Lost("gone"), KeyError("half"), KeyError("half")]
    heard = threading.Event()

    def connect(*_: Any) -> Any:
        if wrong:
            raise wrong.pop(0)
        heard.set()
        raise Lost("gone")

    monkeypatch.setattr("everyhop.admin.key_talk.say", said.append)
    monkeypatch.setattr("everyhop.admin.key_talk.AGAIN_S", 0.001)
    monkeypatch.setattr(Control, "connect", connect)
    servers = SimpleNamespace(stopped=False, changed=threading.Condition())
    ear = Ear(1, tmp_path / "s", cast(KeyServers, servers))
    until(heard.is_set)
    ear.end()
    with servers.changed:
        servers.changed.notify_all()
    ear.thread.join(20)
    assert not ear.thread.is_alive()
    assert said == ["what keys the engine lacks is not heard: our fault: KeyError: 'half'"]

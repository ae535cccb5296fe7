"""Whoever keeps the processes that sign goes on looking after them, whatever went wrong with one, and gives engines what they lack."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from everyhop.admin import keyholding, modules
from everyhop.admin.keyholding import Keyholding
from everyhop.admin.modules import Kept, Modules
from everyhop.engine import holding as h
from everyhop.engine import messages as m
from everyhop.engine.control import Control
from everyhop.engine.frames import Lost
from everyhop.engine.process import Started, start_keyholder
from everyhop.identity.tokens import TokenKey
from tests.kit import Pki
from tests.kit.edge import until

USE = ("site/edge/0", "server")


@pytest.fixture
def holding(monkeypatch: pytest.MonkeyPatch, pki: Pki) -> Iterator[Keyholding]:
    """With a key, and no pause between two looks."""
    monkeypatch.setattr(keyholding, "LOOK_S", 0.0)
    it = Keyholding("off")
    it.lines = 3
    it.current = {USE: (pki.folder / "edge.key").read_text()}
    yield it
    it.end()


def held(it: Keyholding) -> set[str]:
    """What the keyholder that runs says that it signs by."""
    counts = it.there().control.must(h.Counted(), h.Counts)
    return {one.id for one in counts.signed}


def late(process: Started, control: Control) -> None:
    """Stops it and asks it, for a moment: the answer, were there one, could be taken for that of another question."""
    os.kill(process.process.pid, signal.SIGSTOP)
    control.sock.settimeout(0.01)
    with pytest.raises(Lost):
        control.must(h.Counted(), h.Counts)


class Engine:
    """Refuses its lines so many times; a real one is in the tests of whole edges."""

    def __init__(self, refuses: int = 0, pid: int = 1) -> None:
        self.refuses, self.pid, self.lines = refuses, pid, 0

    def must(self, question: m.Ask, of: type[m.Answer], fds: tuple[int, ...] = ()) -> Any:
        if isinstance(question, m.Hello):
            return m.Welcome.model_construct(pid=self.pid, plan_digest=None)
        if self.refuses:
            self.refuses -= 1
            raise Lost("not now")
        self.lines += len(fds)
        return m.Heard.model_construct()


def test_a_keyholder_that_answered_too_late_once_is_followed_by_another(holding: Keyholding) -> None:
    holding.hold()
    before, engine = holding.there(), Engine()
    late(before.process, before.control)
    for _ in range(3):
        holding.look([engine])  # type: ignore[list-item]
    assert before.process.is_over() and holding.there() is not before
    assert (holding.restarts, engine.lines, held(holding)) == (1, 3, {USE[0]})


def test_a_keyholder_that_could_not_be_had_is_tried_again(holding: Keyholding, monkeypatch: pytest.MonkeyPatch) -> None:
    holding.hold()
    fails = [True] * 4

    def seldom(control: socket.socket, sandbox: str) -> Started:
        return start_keyholder(control, "no such sandbox" if fails and fails.pop() else sandbox)

    monkeypatch.setattr(keyholding, "start_keyholder", seldom)
    holding.there().process.end()
    engine = Engine()
    for _ in range(2):
        with pytest.raises(Lost):
            holding.look([engine])  # type: ignore[list-item]
        assert holding.running is None and holding.told() is None
    holding.look([engine])  # type: ignore[list-item]
    assert (holding.restarts, engine.lines, held(holding)) == (1, 3, {USE[0]})


def test_an_engine_that_could_not_be_told_of_another_keyholder_is_told_again(holding: Keyholding) -> None:
    holding.hold()
    holding.there().process.end()
    deaf, well = Engine(refuses=2), Engine(pid=2)
    for _ in range(2):
        with pytest.raises(Lost):
            holding.look([deaf, well])  # type: ignore[list-item]
    holding.look([deaf, well])  # type: ignore[list-item]
    assert (holding.restarts, deaf.lines, well.lines) == (1, 3, 3)


def test_no_keyholder_without_keys_takes_the_place_of_one_that_died(holding: Keyholding) -> None:
    holding.hold()
    it = holding.there()
    it.process.end()
    with pytest.raises(Lost):
        holding.connect(Engine())  # type: ignore[arg-type]
    assert holding.there() is it, "it is looked after"
    holding.look([])
    assert holding.there() is not it and held(holding) == {USE[0]}


def test_the_process_of_a_module_that_answered_too_late_once_is_followed_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modules, "FIRST_PAUSE_S", 0.0)
    kept = Modules("off")
    module = str(tmp_path / "none.so")
    it = kept.all[module] = Kept(module, "off", {USE: TokenKey("pkcs11:", module, None, b"")})
    it.begin()
    try:
        assert it.asked is not None and it.lacking, "it says what it lacks"
        before = it.asked
        late(before.process, before.control)

        def another() -> bool:
            kept.look()
            return it.asked is not None and it.asked is not before and bool(it.lacking) and it.until_s is None

        until(lambda: another() or None, 20)
        assert before.process.is_over() and it.restarts == 1
        # And whoever is told of its keys meanwhile.
        late(it.asked.process, it.asked.control)
        it.holds(it.keys)
        assert it.asked is None and "did not answer in time" in it.why
    finally:
        kept.end()

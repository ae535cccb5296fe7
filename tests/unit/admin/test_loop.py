"""One step that goes wrong becomes a line, and everything else goes on."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable

import pytest

from everyhop.admin import loop as module
from everyhop.admin import telling
from everyhop.admin.loop import AGAIN_S, REQUESTS, Loop
from everyhop.engine.frames import Lost
from everyhop.errors import EveryhopError, Refused, Surroundings


class Panic(BaseException):
    """As a library's Rust panics: no `Exception`."""


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(module, "say", lines.append)
    monkeypatch.setattr(module, "TICK_S", 0.0)
    return lines


ERRORS = {
    "the engine went": Lost("it closed"),
    "the engine refuses": EveryhopError("the engine refused 'names'"),
    "the surroundings": Surroundings("cannot write the access log"),
    "a refusal": Refused([]),
    "a date": OverflowError("date value out of range"),
    "a nest": RecursionError("maximum recursion depth exceeded"),
    "a closed pipe": BrokenPipeError(32, "Broken pipe"),
    "no memory": MemoryError(),
    "a panic": Panic("index out of bounds"),
}


@pytest.mark.parametrize("what", ERRORS)
def test_an_error_in_one_look_is_told_and_the_other_looks_go_on(said: list[str], what: str) -> None:
    loop, looked = Loop(), list[int]()

    def broken() -> None:
        raise ERRORS[what]

    def look() -> None:
        looked.append(1)
        loop.stopping = len(looked) == 3

    loop.run(lambda _: None, {"before": lambda: None, "broken": broken, "after": look}, lambda: 0.0)
    assert looked == [1, 1, 1]
    assert len(said) == 1, "the same trouble is one line"
    assert "the engine does not answer" in said[0] if what == "the engine went" else said[0].startswith("broken: ")


def test_an_error_of_a_signal_or_of_somebody_who_asks_is_told_as_well(said: list[str]) -> None:
    loop = Loop()
    reading, writing = os.pipe()
    os.write(writing, b"x")

    def broken(*_: object) -> None:
        raise ValueError("oh")

    loop.selector.register(reading, 1, broken)
    loop.wanted.add(signal.SIGUSR1)
    loop.turn(broken, {}, 0.0)
    assert sorted(line.split(":")[0] for line in said) == ["SIGUSR1", "somebody who asks"]
    loop.wanted.add(signal.SIGUSR1)
    loop.turn(broken, {}, 0.0)
    assert len(said) == 3, "who sends it again is told again; who asks is told by the answer"
    os.close(reading)
    os.close(writing)


def test_trouble_is_told_again_when_it_is_another_or_came_back_or_stays(
    said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, now = Loop(), [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def failing(text: str) -> Callable[[], None]:
        def step() -> None:
            raise EveryhopError(text)

        return step

    for text, want in (("a", 1), ("a", 1), ("b", 2), ("b", 2)):
        loop.tried("x", failing(text))
        assert len(said) == want
    assert loop.tried("x", lambda: None)
    loop.tried("x", failing("b"))
    assert len(said) == 3
    now[0] = AGAIN_S
    loop.tried("x", failing("b"))
    assert len(said) == 4


def test_after_a_stop_nothing_is_looked_after_any_more(said: list[str]) -> None:
    loop = Loop()
    loop.wanted.add(signal.SIGTERM)

    def obey(_: signal.Signals) -> None:
        loop.stopping = True

    loop.run(obey, {"never": lambda: pytest.fail("it was asked to stop")}, lambda: 0.0)


def test_what_is_said_to_nobody_raises_nothing_and_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "PATIENCE_MS", 10)
    reading, writing = os.pipe()
    telling.put("heard é\n", writing)
    assert os.read(reading, 100).decode() == "heard é\n"
    # A reader that reads no more: as much as goes is written, and the rest is lost.
    telling.put("x" * 1_000_000, writing)
    ready = select.poll()
    ready.register(writing, select.POLLOUT)
    assert not ready.poll(0), "the pipe is full"
    telling.put("more\n", writing)
    os.close(reading)
    telling.put("nobody\n", writing)
    os.close(writing)
    telling.put("nowhere\n", writing)


def test_what_is_asked_for_while_a_start_is_under_way_is_done_after_it() -> None:
    before = {number: signal.getsignal(number) for number in REQUESTS}
    try:
        loop = Loop()
        loop.note_requests()
        for number in REQUESTS:
            os.kill(os.getpid(), number)
        done: list[signal.Signals] = []

        def obey(number: signal.Signals) -> None:
            done.append(number)
            loop.stopping = len(done) == len(REQUESTS)

        loop.run(obey, {}, lambda: 0.0)
        assert set(done) == set(REQUESTS)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""Steps under way when an edge ends: told to end all at once, waited for all together and not for ever, and none beside its successor."""

from __future__ import annotations

import datetime as dt
import threading
import time

import pytest

from everyhop.admin.rounds import AFTER_OURS_S, Rounds, end_all
from everyhop.admin.standing import Standing
from tests.kit.edge import until


class Step(Rounds):
    """Lasts until it is told that it is over."""

    def __init__(self) -> None:
        super().__init__("step")
        self.begun, self.over, self.kept = threading.Event(), threading.Event(), False

    def step(self) -> float:
        self.begun.set()
        self.over.wait(20)
        self.kept = True
        return 60.0


@pytest.fixture
def steps() -> list[Step]:
    made = [Step() for _ in range(3)]
    for it in made:
        it.thread.start()
        assert it.begun.wait(20)
    return made


def test_what_a_step_has_under_way_is_kept_before_the_edge_is_gone(steps: list[Step]) -> None:
    for it in steps:
        threading.Timer(0.05, it.over.set).start()
    end_all(steps, 20)
    assert [it.kept for it in steps] == [True] * 3 and not any(it.thread.is_alive() for it in steps)


def test_steps_that_do_not_end_are_waited_for_together_and_left_alone(steps: list[Step]) -> None:
    begun = time.monotonic()
    end_all(steps, 0.1)
    assert time.monotonic() - begun >= 0.1 and all(it.stopped and it.thread.is_alive() for it in steps)
    for it in steps:
        it.over.set()
        it.thread.join(20)
    assert not any(it.thread.is_alive() for it in steps), "told once, they end by themselves"


def test_who_takes_the_place_of_another_begins_once_that_is_over(steps: list[Step]) -> None:
    first, second = steps[0], Step()
    second.before = first.thread
    first.end()
    second.thread.start()
    assert not second.begun.wait(0.05)
    first.over.set()
    assert second.begun.wait(20) and not first.thread.is_alive()
    second.over.set()
    end_all([second, *steps[1:]], 0.0)
    for it in steps:
        it.over.set()


NOW = dt.datetime(2026, 11, 29, tzinfo=dt.UTC)


class Panicked(BaseException):
    """As what a library's Rust raises."""


class Faulty(Rounds):
    """Raises what it is given, one after the other, and goes well once nothing is left."""

    def __init__(self, *wrong: BaseException) -> None:
        super().__init__("identity i")
        self.wrong, self.steps, self.clock = list(wrong), 0, lambda: NOW
        self.standing = Standing("i", "ca h:1", None, None, NOW, None)

    def step(self) -> float:
        self.steps += 1
        if self.wrong:
            raise self.wrong.pop(0)
        return 60.0


def test_a_fault_of_ours_ends_no_round_and_is_told_once_and_for_as_long_as_it_lasts(
    capfd: pytest.CaptureFixture[str],
) -> None:
    it = Faulty(KeyError("half"), KeyError("half"), Panicked("theirs"))
    whys = ["our fault: KeyError: 'half'", "our fault: KeyError: 'half'", "our fault: Panicked: theirs"]
    it.thread.start()
    for n, why in enumerate(whys, 1):
        until(lambda: it.standing.problem == why and it.steps == n and not it.due.is_set())  # noqa: B023
        assert it.standing.next_try == NOW + dt.timedelta(seconds=AFTER_OURS_S)
        it.due.set()
    until(lambda: it.steps == 4)
    it.end()
    it.thread.join(20)
    said = capfd.readouterr().err.splitlines()
    assert [line.partition("everyhop: ")[2] for line in said] == [f"identity i: {why}" for why in dict.fromkeys(whys)]


def test_a_fault_is_told_of_nobody_who_was_told_to_end() -> None:
    it = Faulty(KeyError("half"))
    it.end()
    assert it.stepped() == 0.0 and it.standing.problem is None

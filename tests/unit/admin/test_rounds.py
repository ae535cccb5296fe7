"""Steps under way when an edge ends: told to end all at once, waited for all together and not for ever, and none beside its successor."""

from __future__ import annotations

import threading
import time

import pytest

from everyhop.admin.rounds import Rounds, end_all


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

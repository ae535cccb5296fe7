"""When another engine is started: told the time, it asks no clock."""

from __future__ import annotations

from everyhop.admin.pace import APART_S, HASTY_DEATHS, LIVED_S, MOST_PATIENCE_S, Pace


def waited(pace: Pace, lived_s: float, *, takes_plan: bool, now: float) -> float:
    """Starts an engine at `now` that dies after `lived_s`; how long the next one waits from its death."""
    pace.begins(now)
    if takes_plan:
        pace.runs()
    assert pace.died(now + lived_s)
    assert not pace.died(now + lived_s), "each death is told once"
    return round(max(pace.start_at - now - lived_s, 0.0), 6)


def test_an_engine_that_did_its_work_is_followed_at_once_however_many_died_before() -> None:
    pace = Pace()
    assert [waited(pace, LIVED_S, takes_plan=True, now=10.0 * n) for n in range(50)] == [0.0] * 50


def test_engines_that_are_killed_as_soon_as_they_serve_are_started_twice_a_second_at_most() -> None:
    pace = Pace()
    waits = [waited(pace, 0.25, takes_plan=True, now=10.0 * n) for n in range(50)]
    assert waits[:HASTY_DEATHS] == [0.0] * HASTY_DEATHS
    assert waits[HASTY_DEATHS:] == [APART_S - 0.25] * (50 - HASTY_DEATHS)


def test_engines_that_never_start_wait_longer_each_time_and_never_for_ever() -> None:
    pace = Pace()
    waits = [waited(pace, 0.1, takes_plan=False, now=100.0 * n) for n in range(HASTY_DEATHS + 20)]
    late = waits[HASTY_DEATHS:]
    assert late[:3] == [1.0, 2.0, 3.0] and late[-1] == MOST_PATIENCE_S


def test_one_that_lives_ends_the_row() -> None:
    pace = Pace()
    for n in range(HASTY_DEATHS + 3):
        waited(pace, 0.1, takes_plan=False, now=100.0 * n)
    assert waited(pace, LIVED_S, takes_plan=True, now=5000.0) == 0.0
    assert waited(pace, 0.1, takes_plan=False, now=6000.0) == 0.0


def test_nobody_waits_longer_than_until_the_next_one_may_be_started() -> None:
    pace = Pace()
    assert pace.patience(0.0, 0.25) == 0.25
    for n in range(HASTY_DEATHS + 1):
        waited(pace, 0.25, takes_plan=True, now=10.0 * n)
    now = 10.0 * HASTY_DEATHS + 0.25
    assert pace.patience(now, 0.25) == 0.25 and round(pace.patience(now + 0.2, 0.25), 6) == 0.05
    assert pace.may_start(now + 0.25) and pace.patience(now + 0.25, 0.25) == 0.25

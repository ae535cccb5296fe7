"""When a certificate is renewed, for any life, window and lot."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everyhop.acme.due import Window, ask_at, reason, renew_at

BEGIN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
LOTS = st.floats(0, 1, exclude_max=True)
LIVES = st.timedeltas(dt.timedelta(minutes=10), 400 * DAY)
MOMENTS = st.datetimes(dt.datetime(2025, 1, 1), dt.datetime(2028, 1, 1), timezones=st.just(dt.UTC))
WINDOWS = st.none() | st.builds(Window, MOMENTS, MOMENTS)


@given(LIVES, WINDOWS, LOTS)
def test_a_tenth_of_the_life_is_left_whatever_a_window_says(
    life: dt.timedelta, window: Window | None, lot: float
) -> None:
    assert renew_at(BEGIN, BEGIN + life, window, lot) <= BEGIN + life - life / 10


@given(LIVES, LOTS)
def test_without_a_window_more_than_a_third_of_the_life_is_used_before(life: dt.timedelta, lot: float) -> None:
    assert renew_at(BEGIN, BEGIN + life, None, lot) >= BEGIN + life / 3


def test_ninety_days_are_renewed_with_thirty_left_and_six_with_three() -> None:
    assert renew_at(BEGIN, BEGIN + 90 * DAY, None, 0) == BEGIN + 60 * DAY
    assert renew_at(BEGIN, BEGIN + 90 * DAY, None, 0.999) < BEGIN + 53 * DAY
    assert renew_at(BEGIN, BEGIN + 6 * DAY, None, 0) == BEGIN + 3 * DAY


@given(LIVES, LOTS, st.floats(0, 0.5), st.floats(0.01, 0.4))
def test_a_window_within_the_life_is_where_it_is_renewed(
    life: dt.timedelta, lot: float, start: float, length: float
) -> None:
    window = Window(BEGIN + life * start, BEGIN + life * (start + length))
    found = renew_at(BEGIN, BEGIN + life, window, lot)
    assert window.start <= found <= window.end


def test_the_lots_are_spread_over_the_window() -> None:
    window = Window(BEGIN + 50 * DAY, BEGIN + 52 * DAY)
    found = [renew_at(BEGIN, BEGIN + 90 * DAY, window, lot) for lot in (0.0, 0.25, 0.5)]
    assert found == [BEGIN + 50 * DAY, BEGIN + 50.5 * DAY, BEGIN + 51 * DAY]


def test_a_window_that_ends_before_it_begins_is_none() -> None:
    window = Window(BEGIN + 52 * DAY, BEGIN + 50 * DAY)
    assert renew_at(BEGIN, BEGIN + 90 * DAY, window, 0.5) == renew_at(BEGIN, BEGIN + 90 * DAY, None, 0.5)


def test_a_window_in_the_past_is_now() -> None:
    """As after a revocation of many (RFC 9773 §4.2)."""
    window = Window(BEGIN - 2 * DAY, BEGIN - DAY)
    assert renew_at(BEGIN, BEGIN + 90 * DAY, window, 0.5) < BEGIN


@given(st.none() | st.floats(0, 1e9))
def test_the_window_is_asked_for_between_each_minute_and_each_day(told: float | None) -> None:
    assert dt.timedelta(minutes=1) <= ask_at(BEGIN, told) - BEGIN <= DAY


def test_the_authority_says_when_to_ask_again() -> None:
    assert ask_at(BEGIN, 7200) == BEGIN + dt.timedelta(hours=2)
    assert ask_at(BEGIN, None) == BEGIN + dt.timedelta(hours=6)


@pytest.mark.parametrize(
    ("days", "window", "at", "why"),
    [
        (90, None, 60, "a third of its life is left"),
        (6, None, 3, "half of its life is left"),
        (90, (60, 62), 60, "the authority suggests it between 2026-03-02T00:00:00Z and 2026-03-04T00:00:00Z"),
        (90, (88, 89), 81, "a tenth of its life is left, and the authority suggests it later"),
        (90, (62, 60), 60, "a third of its life is left"),
    ],
)
def test_why_it_is_then_is_said_as_it_is(days: int, window: tuple[int, int] | None, at: int, why: str) -> None:
    it = None if window is None else Window(BEGIN + window[0] * DAY, BEGIN + window[1] * DAY)
    assert reason(BEGIN, BEGIN + days * DAY, it) == why
    assert renew_at(BEGIN, BEGIN + days * DAY, it, 0.0) == BEGIN + at * DAY

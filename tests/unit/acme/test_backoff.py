"""How long is waited after failures: for any row of them, never more often than an authority bears."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everyhop.acme.backoff import (
    FIRST_S,
    HOUR,
    JITTER,
    LONGEST_S,
    MOST_ISSUED,
    MOST_ORDERS,
    MOST_REFUSED,
    MOST_S,
    ORDERS_WITHIN,
    WEEK,
    delay_s,
    free_at,
    still_counted,
)
from everyhop.acme.problem import KINDS, Kind

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
LOTS = st.floats(0, 1, exclude_max=True)
OF_KIND = st.sampled_from(KINDS)


def test_every_number_is_below_that_of_lets_encrypt() -> None:
    assert MOST_REFUSED < 5 and dt.timedelta(hours=1) == HOUR
    assert MOST_ISSUED < 5 and dt.timedelta(days=7) == WEEK
    assert MOST_ORDERS < 300 and dt.timedelta(hours=3) == ORDERS_WITHIN


@given(OF_KIND, st.integers(1, 10_000), LOTS)
def test_a_wait_grows_with_each_failure_up_to_its_most(kind: Kind, failures: int, lot: float) -> None:
    it, more = delay_s(kind, failures, None, lot), delay_s(kind, failures + 1, None, lot)
    assert FIRST_S[kind] <= it <= more <= MOST_S[kind] * (1 + JITTER)


@given(OF_KIND, st.integers(1, 50), st.floats(0, 86400), LOTS)
def test_what_an_authority_asks_for_is_waited_for(kind: Kind, failures: int, asked: float, lot: float) -> None:
    assert delay_s(kind, failures, asked, lot) >= asked


@given(OF_KIND, st.floats(allow_nan=False), LOTS)
def test_nobody_is_made_to_wait_for_ever_or_not_at_all(kind: Kind, asked: float, lot: float) -> None:
    assert FIRST_S[kind] <= delay_s(kind, 1, asked, lot) <= LONGEST_S[kind] * (1 + JITTER)


@given(OF_KIND, st.integers(1, 20))
def test_those_who_failed_together_do_not_come_back_together(kind: Kind, failures: int) -> None:
    assert delay_s(kind, failures, None, 0.0) < delay_s(kind, failures, None, 0.9)


@given(st.lists(LOTS, min_size=12, max_size=12))
def test_a_row_of_refusals_is_never_more_in_an_hour_than_is_stated(lots: list[float]) -> None:
    at, tries = 0.0, []
    for failures, lot in enumerate(lots, 1):
        tries.append(at)
        at += delay_s("refused", failures, None, lot)
    assert all(sum(begin <= it < begin + 3600 for it in tries) <= MOST_REFUSED for begin in tries)


@pytest.mark.parametrize(("most", "within"), [(MOST_REFUSED, HOUR), (MOST_ISSUED, WEEK), (MOST_ORDERS, ORDERS_WITHIN)])
@given(wants=st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_no_more_are_let_through_within_a_time_however_often_they_are_wanted(
    most: int, within: dt.timedelta, wants: list[float]
) -> None:
    most = min(most, 5)
    now, done = NOW, list[dt.datetime]()
    for want in wants:
        now = max(now + within * want * 0.3, free_at(done, most, within, now + within * want * 0.3))
        done = [*still_counted(done, within, now), now]
        assert len([it for it in done if now - within < it <= now]) <= most


def test_a_clock_that_is_set_back_keeps_nobody_waiting_longer_than_the_limit() -> None:
    noted = [NOW + dt.timedelta(days=400)] * MOST_REFUSED
    assert still_counted(noted, HOUR, NOW) == [NOW] * MOST_REFUSED
    assert free_at(noted, MOST_REFUSED, HOUR, NOW) <= NOW + HOUR

"""The promises with figures, in short: what holds on any machine. `make soak MINUTES=n` tries them whole and timed."""

from __future__ import annotations

import pytest

from tests.kit import Pki
from tests.promises import broken_day, carried, change, clock, death, hostile, soak
from tests.promises.outcome import Scale, assert_held
from tests.promises.yard import PANICS

SHORT = Scale(seconds=3.0)


def test_reloads_under_every_kind_of_load_lose_nothing(pki: Pki) -> None:
    """Promise 1."""
    assert_held(change.reloads_lose_nothing(pki, SHORT))


def test_broken_reloads_change_nothing(pki: Pki) -> None:
    """Promise 2."""
    assert_held(change.broken_reloads_change_nothing(pki, SHORT))


def test_certificates_rotate_under_handshakes_and_none_fails(pki: Pki) -> None:
    """Promise 8."""
    assert_held(change.certificates_rotate(pki, SHORT))


def test_a_restart_hands_over_and_the_socket_is_never_closed(pki: Pki) -> None:
    """Promise 3."""
    assert_held(death.restart_hands_over(pki, SHORT))


def test_a_killed_engine_is_back_each_time_and_nobody_new_is_lost(pki: Pki) -> None:
    """Promise 4."""
    assert_held(death.kill_the_engine(pki, SHORT))


def test_without_a_supervisor_all_goes_on_and_the_last_good_plan_comes_back(pki: Pki) -> None:
    """Promise 5."""
    assert_held(death.nobody_supervises(pki, SHORT))


def test_a_shutdown_tells_everyone_cuts_nobody_and_ends_with_code_0(pki: Pki) -> None:
    """Promise 14."""
    assert_held(death.shutdown(pki, SHORT))


@pytest.mark.skipif(not clock.can_run(), reason="there is no C compiler to build the clock with")
def test_a_jump_of_the_clock_disconnects_nobody_and_dates_are_obeyed(pki: Pki) -> None:
    """Promise 11."""
    assert_held(clock.the_clock_jumps(pki, SHORT))


def test_a_flapping_backend_costs_no_get_and_doubles_no_post(pki: Pki) -> None:
    """Promise 10."""
    assert_held(carried.one_of_three_flaps(pki, SHORT))


def test_bytes_are_the_same_both_ways_in_every_pattern(pki: Pki) -> None:
    """Promise 15."""
    assert_held(carried.bytes_are_bytes(pki, SHORT))


def test_idle_and_slow_clients_end_at_their_deadline_and_hold_nobody_up(pki: Pki) -> None:
    """Promise 6."""
    assert_held(hostile.idle_and_slow(pki, SHORT))


def test_a_hostile_http2_connection_is_cut(pki: Pki) -> None:
    """Promise 7."""
    assert_held(hostile.one_hostile_connection(pki, SHORT))


def test_an_overload_fails_nobody_and_the_admin_answers(pki: Pki) -> None:
    """Promise 13."""
    assert_held(hostile.overload(pki, SHORT))


def test_no_refusal_reaches_an_upstream(pki: Pki) -> None:
    """Promise 18."""
    assert_held(hostile.refusals_reach_nobody(pki, SHORT))


def test_client_log_upstream_and_metrics_agree_and_nothing_stays_open(pki: Pki) -> None:
    """Promise 17."""
    assert_held(soak.it_goes_on(pki, SHORT))


def test_a_day_on_which_everything_breaks_loses_nothing_and_is_told(pki: Pki) -> None:
    """Promise 19."""
    assert_held(broken_day.a_broken_day(pki, SHORT))


def test_nothing_panicked_meanwhile(pki: Pki) -> None:
    """Promise 16, over all promises before; run alone, over one."""
    if not PANICS:
        assert_held(hostile.one_hostile_connection(pki, SHORT))
    assert_held(soak.nothing_panicked())

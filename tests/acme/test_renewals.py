"""Certificates that are kept for months: when they are renewed, what the authority suggests, and what happens while it is away."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from cryptography import x509

from everyhop.acme import Keeper, Site, Stopped, Store, authority, client
from tests.acme.between import Between, Said
from tests.acme.dated import orders_by
from tests.acme.edge import Clock, Edge, drive, only, settled
from tests.acme.pebble import Pebble
from tests.kit import Pki

Start = Callable[..., Keeper]
Pebbles = Callable[..., Pebble]
DAY = dt.timedelta(days=1)


@pytest.fixture
def dated(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    monkeypatch.setattr(client, "new_order", orders_by(clock))


@pytest.mark.parametrize(("profile", "least", "most"), [("shortlived", 17, 31), ("default", 1, 2)])
def test_ninety_days_pass_without_a_moment_out_of_date(
    profile: str, least: int, most: int, dated: None, pebble: Pebbles, keeper: Start, clock: Clock
) -> None:
    it = keeper(pebble(bad_nonces=5).authority())
    it.configure([Site("shop", ("a.test", "b.test"), profile=profile), Site("wiki", ("w.test",), profile=profile)])
    drive(it, clock, lambda: settled(it))
    begun, renewed = clock(), list[str]()
    for _ in range(20_000):
        stepped = it.step()
        renewed += stepped.changed
        assert all(
            found.begins <= clock() + dt.timedelta(seconds=1) and clock() < found.ends for found in it.in_force()
        )
        assert len(it.in_force()) == 2 and all(told.problem is None for told in it.status())
        if clock() - begun > 90 * DAY:
            break
        clock.wait(stepped.wait_s)
    assert clock() - begun > 90 * DAY
    for site in ("shop", "wiki"):
        assert least <= renewed.count(site) <= most


def test_a_renewal_names_what_it_replaces_and_comes_within_the_window_that_was_suggested(
    pebble: Pebbles, keeper: Start, clock: Clock, pki: Pki
) -> None:
    real = pebble()
    with closing(Between(pki, real.port)) as front:
        it = keeper(authority(front.url, pki.public.file))
        it.configure([Site("shop", ("a.test",), profile="shortlived")])
        drive(it, clock, lambda: settled(it))
        (first,) = it.in_force()
        drive(it, clock, lambda: it.states["shop"].renewals["ecdsa-p256"].window is not None)
        window = it.states["shop"].renewals["ecdsa-p256"].window
        assert window is not None and window.start <= only(it).next_try <= window.end
        leaf = x509.load_pem_x509_certificate(first.chain_pem)
        asked = [path for method, path in front.asked if "renewalInfo" in path]
        assert asked == [f"/draft-ietf-acme-ari-03/renewalInfo/{client.identity_of(leaf)}"]
        clock.go_to(only(it).next_try)
        drive(it, clock, lambda: it.in_force() != [first] and settled(it))
        # Pebble takes no second order that replaces it, which shows that it understood the first.
        talk, _ = it.work.talk(it.authorities[0], it.now())
        with pytest.raises(Stopped) as stopped:
            talk.place(("a.test",), "shortlived", client.identity_of(leaf))
        assert stopped.value.problem.code == "alreadyReplaced"


def test_an_authority_that_does_not_take_the_replacement_gets_a_new_order(
    pebble: Pebbles, keeper: Start, clock: Clock, answering: Edge, tmp_path: Path
) -> None:
    real = pebble()
    it = keeper(real.authority())
    it.configure([Site("shop", ("a.test",), profile="shortlived")])
    drive(it, clock, lambda: settled(it))
    (first,) = it.in_force()
    # Another edge with the same account and certificate was quicker.
    shutil.copytree(tmp_path / "state", tmp_path / "other")
    other = Keeper(Store(tmp_path / "other"), it.authorities, answering, terms_agreed=True, clock=clock)
    other.configure([Site("shop", ("a.test",), profile="shortlived")])
    clock.go_to(only(it).next_try + dt.timedelta(days=1))
    drive(other, clock, lambda: other.in_force() not in ([], [first]) and settled(other))
    other.close()
    clock.go_to(only(it).next_try)
    drive(it, clock, lambda: it.in_force() != [first] and settled(it))
    assert only(it).problem is None


def test_a_window_that_is_now_renews_at_once(pebble: Pebbles, keeper: Start, clock: Clock, pki: Pki) -> None:
    """As when an authority has to revoke many."""
    now = [False]

    def soon(method: str, path: str, said: Said) -> Said:
        if "renewalInfo" in path and now[0]:
            window = b'{"suggestedWindow": {"start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z"}}'
            return Said(200, {"Content-Type": "application/json", "Retry-After": "3600"}, window)
        return said

    with closing(Between(pki, pebble().port, soon)) as front:
        it = keeper(authority(front.url, pki.public.file))
        it.configure([Site("shop", ("a.test",), profile="default")])
        drive(it, clock, lambda: settled(it))
        (first,) = it.in_force()
        now[0], begun = True, clock()
        drive(it, clock, lambda: it.in_force() != [first] and settled(it))
        assert clock() - begun < DAY


def test_an_authority_that_always_says_now_does_not_make_us_order_without_end(
    pebble: Pebbles, keeper: Start, clock: Clock, pki: Pki
) -> None:
    window = b'{"suggestedWindow": {"start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z"}}'

    def always(method: str, path: str, said: Said) -> Said:
        return Said(200, {"Content-Type": "application/json"}, window) if "renewalInfo" in path else said

    with closing(Between(pki, pebble().port, always)) as front:
        it = keeper(authority(front.url, pki.public.file))
        it.configure([Site("shop", ("a.test",), profile="default")])
        begun = clock()
        drive(it, clock, lambda: clock() - begun > 6 * DAY)
        assert front.posts("/finalize-order") <= 4


def test_an_outage_of_half_of_what_is_left_has_no_effect(
    dated: None, pebble: Pebbles, keeper: Start, clock: Clock, pki: Pki
) -> None:
    down = [False]
    with closing(Between(pki, pebble().port, lambda m, p, said: Said(503) if down[0] else said)) as front:
        it = keeper(authority(front.url, pki.public.file))
        it.configure([Site("shop", ("a.test",), profile="shortlived")])
        drive(it, clock, lambda: settled(it))
        (first,) = it.in_force()
        clock.go_to(only(it).next_try)
        down[0] = True
        begun = clock()
        back = begun + (first.ends - begun) / 2
        drive(it, clock, lambda: clock() > back)
        assert it.in_force() == [first] and only(it).problem is not None
        down[0] = False
        drive(it, clock, lambda: it.in_force() != [first] and settled(it))
        assert clock() < first.ends and only(it).problem is None


def test_other_names_are_ordered_at_once_and_the_old_ones_stay_until_then(
    pebble: Pebbles, keeper: Start, clock: Clock
) -> None:
    it = keeper(pebble().authority())
    it.configure([Site("shop", ("a.test",))])
    drive(it, clock, lambda: settled(it))
    (first,) = it.in_force()
    it.configure([Site("shop", ("a.test", "b.test"))])
    it.step()
    assert it.in_force() == [first] and only(it).until is None
    drive(it, clock, lambda: settled(it))
    (second,) = it.in_force()
    assert set(second.names) == {"a.test", "b.test"}


@pytest.mark.parametrize(("off", "words"), [(-2 * DAY, "so it is behind"), (8 * DAY, "so it is ahead")])
def test_a_clock_that_is_wrong_is_told_and_orders_are_not_placed_again_and_again(
    off: dt.timedelta, words: str, pebble: Pebbles, keeper: Start, clock: Clock
) -> None:
    clock.ahead = off
    real = pebble()
    it = keeper(real.authority())
    it.configure([Site("shop", ("a.test",), profile="shortlived")])
    drive(it, clock, lambda: only(it).problem is not None)
    assert words in str(only(it).problem)
    assert len(it.in_force()) == 1, "others' clocks are right"
    begun = clock()
    drive(it, clock, lambda: clock() - begun > DAY)
    assert real.said().count("POST /finalize-order") <= 2

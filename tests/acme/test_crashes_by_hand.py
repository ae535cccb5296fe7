"""A process that dies at any write of what was asked for by hand: the next one goes on from there, and nothing that is in force is taken
back, nor an account lost."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from everyhop.acme import Keeper, Site, Store
from everyhop.acme.by_hand import Asked
from everyhop.acme.judge import kept
from everyhop.acme.revocations import serial_of
from tests.acme.edge import Clock, Edge, drive, settled
from tests.acme.pebble import Pebble
from tests.acme.test_by_hand import serial
from tests.acme.test_crashes import MOST, Died, Fate

Pebbles = Callable[..., Pebble]
SHOP = Site("shop", ("a.test",))


def test_whoever_dies_at_any_write_of_a_revocation_leaves_what_is_shown_alone_and_is_gone_on_from(
    pebble: Pebbles, clock: Clock, answering: Edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = pebble()
    fate, deaths, begun = Fate(monkeypatch), 0, 0

    def over(folder: Path) -> Keeper:
        it = Keeper(Store(folder), [real.authority()], answering, terms_agreed=True, clock=clock)
        it.configure([SHOP])
        return it

    for writes in range(MOST):
        folder = tmp_path / f"after-{writes}"
        if writes:
            # The same account: what it may revoke is its own.
            shutil.copytree(tmp_path / "after-0" / "accounts", folder / "accounts")
            folder.chmod(0o700)
        it = over(folder)
        drive(it, clock, lambda: settled(it))  # noqa: B023
        first, died = serial(it), False
        secret = it.in_force()[0].key_pem
        number = it.by_hand.ask(Asked("revoke", "shop", reason="key-compromise"))
        fate.left = writes
        try:
            drive(it, clock, lambda: (it.by_hand.seen(number) or {})["is"] == "done")  # noqa: B023
        except Died:
            died = True
        fate.left = None
        it.close()
        deaths += died
        pair = kept((folder / "sites/shop/ecdsa-p256.pem").read_bytes())
        assert pair is not None, "whole, whichever of the two it is"
        assert not (serial_of(pair[0]) == first and real.is_revoked(first)), "what is in force is not taken back"
        again = over(folder)
        again.step()
        if first in again.revocations.all or real.is_revoked(first):
            begun += 1
            drive(again, clock, lambda: real.is_revoked(first) and settled(again))  # noqa: B023
            # What was under way ends by itself.
            for _ in range(3):
                again.step()
            assert again.revocations.all[first].at == "revoked" and serial(again) != first
            left = [path for path in folder.rglob("*") if path.is_file() and secret in path.read_bytes()]
            assert left == [], "its key is nowhere any more"
        else:
            assert settled(again) and serial(again) == first, "nobody has asked for anything"
        again.close()
        if not died:
            break
    assert not died and deaths > 20 and begun > 15
    assert "There are now 2 accounts" not in real.said()


def test_whoever_dies_at_any_write_of_a_new_account_key_has_the_account_all_the_same(
    pebble: Pebbles, clock: Clock, answering: Edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = pebble()
    fate, deaths, changed = Fate(monkeypatch), 0, 0
    for writes in range(MOST):
        folder = tmp_path / f"after-{writes}"

        def over(folder: Path = folder) -> Keeper:
            it = Keeper(Store(folder), [real.authority()], answering, terms_agreed=True, clock=clock)
            it.configure([])
            it.step()
            return it

        it = over()
        it.work.talk(it.authorities[0], it.now())
        (path,) = folder.glob("accounts/*/key.pem")
        before, died = path.read_bytes(), False
        number = it.by_hand.ask(Asked("rollover"))
        fate.left = writes
        try:
            drive(it, clock, lambda: (it.by_hand.seen(number) or {})["is"] == "done")  # noqa: B023
        except Died:
            died = True
        fate.left = None
        it.close()
        deaths += died
        again = over()
        again.configure([SHOP])
        drive(again, clock, lambda: settled(again))  # noqa: B023
        again.close()
        changed += path.read_bytes() != before
        assert {one.name for one in path.parent.iterdir()} == {"key.pem", "account.json"}
        if not died:
            break
    assert not died and deaths > 5 and 0 < changed < deaths
    assert f"There are now {writes + 2} accounts" not in real.said(), "each store has one"


def test_what_is_kept_of_one_that_is_revoked_goes_when_it_would_have_ended(
    pebble: Pebbles, clock: Clock, answering: Edge, tmp_path: Path
) -> None:
    real = pebble()
    it = Keeper(Store(tmp_path / "s"), [real.authority()], answering, terms_agreed=True, clock=clock)
    it.configure([SHOP])
    drive(it, clock, lambda: settled(it))
    first = serial(it)
    number = it.by_hand.ask(Asked("revoke", "shop"))
    drive(it, clock, lambda: (it.by_hand.seen(number) or {})["is"] == "done")
    it.close()
    folder = tmp_path / "s/revocations"
    assert [path.name for path in folder.iterdir()] == [f"{first}.json"]
    clock.wait(dt.timedelta(days=100).total_seconds())
    Keeper(it.store, it.authorities, answering, terms_agreed=True, clock=clock).close()
    assert not list(folder.iterdir())

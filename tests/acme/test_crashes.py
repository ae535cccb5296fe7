"""A process that dies at any write: what was in force is there after, and the next one goes on from where it was."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from everyhop.acme import Keeper, Site, Store
from everyhop.acme.judge import kept
from tests.acme.edge import Clock, Edge, drive, settled
from tests.acme.pebble import Pebble

Start = Callable[..., Keeper]
Pebbles = Callable[..., Pebble]
MOST = 200
"""Writes of one order, and some."""


class Died(BaseException):
    """Nothing catches it, as nothing catches a loss of power."""


class Fate:
    """Lets so many writes happen, and dies before the next one. What it ended with is not written, nor cleaned up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left: int | None = None
        for name in ("replace", "fsync", "unlink", "mkdir"):
            monkeypatch.setattr(os, name, self.before(getattr(os, name)))

    def before(self, act: Callable[..., object]) -> Callable[..., object]:
        def acts(*args: object, **kwargs: object) -> object:
            if self.left is not None:
                if self.left == 0:
                    raise Died
                self.left -= 1
            return act(*args, **kwargs)

        return acts


def test_whoever_dies_at_any_write_of_an_order_leaves_what_was_there_and_is_gone_on_from(
    pebble: Pebbles, clock: Clock, answering: Edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = pebble()
    by = real.authority()

    def over(folder: Path) -> Keeper:
        return Keeper(Store(folder), [by], answering, terms_agreed=True, clock=clock)

    fate = Fate(monkeypatch)
    first = over(tmp_path / "first")
    first.configure([Site("shop", ("a.test",))])
    drive(first, clock, lambda: settled(first))
    first.close()
    (before,) = first.in_force()
    for writes in range(MOST):
        folder = tmp_path / f"after-{writes}"
        shutil.copytree(tmp_path / "first", folder)
        dying = over(folder)
        dying.configure([Site("shop", ("a.test", "b.test"))])
        dying.step()  # Reads, and says what is there.
        fate.left, died = writes, False
        try:
            drive(dying, clock, lambda: settled(dying))  # noqa: B023
        except Died:
            died = True
        fate.left = None
        # Its connections end with it; what it published may stay or go.
        dying.close()
        answering.tokens.clear()
        answering.contexts.clear()
        data = (folder / "sites" / "shop" / "ecdsa-p256.pem").read_bytes()
        pair = kept(data)
        assert pair is not None, "whole, whichever of the two it is"
        again = over(folder)
        again.configure([Site("shop", ("a.test", "b.test"))])
        assert again.step().changed[0] == "shop"
        (there,) = again.in_force()
        assert there.chain_pem == pair[0].pem and (there == before or set(there.names) == {"a.test", "b.test"})
        drive(again, clock, lambda: settled(again))  # noqa: B023
        again.close()
        (after,) = again.in_force()
        assert set(after.names) == {"a.test", "b.test"} and again.status()[0].problem is None
        left = sorted(path.name for path in (folder / "sites" / "shop").iterdir())
        assert left == ["ecdsa-p256.pem", "state.json"], left
        if not died:
            break
    assert not died and writes > 20, "the last one was not stopped any more"
    assert "There are now 2 accounts" not in real.said(), "the account is the one of before"


def test_whoever_dies_at_any_write_of_the_first_order_has_one_account_all_the_same(
    pebble: Pebbles, clock: Clock, answering: Edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = pebble()
    fate = Fate(monkeypatch)
    keepers = 0
    for writes in range(MOST):
        folder, died = tmp_path / f"first-{writes}", True
        fate.left = writes
        while died:
            with ExitStack() as opened:
                try:
                    it = Keeper(Store(folder), [real.authority()], answering, terms_agreed=True, clock=clock)
                    opened.enter_context(closing(it))
                    it.configure([Site("shop", ("a.test",))])
                    drive(it, clock, lambda: settled(it))  # noqa: B023
                    died = False
                except Died:
                    keepers += 1
                    fate.left = None
        keys = list((folder / "accounts").rglob("key.pem"))
        assert len(keys) == 1
        if fate.left is not None:
            break
    fate.left = None
    assert keepers > 20, "it died at each of its writes once"
    folders = writes + 1
    assert f"There are now {folders + 1} accounts" not in real.said(), "each folder has one account"


def test_a_full_disk_stops_nothing_that_is_in_force_and_places_no_order(
    pebble: Pebbles, keeper: Start, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = pebble()
    it = keeper(real.authority())
    it.configure([Site("shop", ("a.test",))])
    drive(it, clock, lambda: settled(it))
    (before,) = it.in_force()
    placed = real.said().count("POST /order-plz")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as here:
        here.setattr(os, "fsync", full)
        it.configure([Site("shop", ("a.test", "b.test"))])
        for _ in range(50):
            clock.wait(it.step().wait_s)
        assert it.in_force() == [before]
        assert real.said().count("POST /order-plz") == placed
        told = it.status()[0].problem
        assert told is not None and "No space left on device" in str(told), told
    drive(it, clock, lambda: settled(it))

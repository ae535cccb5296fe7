"""Ninety days of an edge whose certificates last for six: nobody who comes meanwhile, at any moment, meets one that is out of date,
or none. The supervisor's clock is moved from renewal to renewal; clients come the whole time."""

from __future__ import annotations

import datetime as dt
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509

from tests.acme.moved import Moved
from tests.acme.pebble import Names
from tests.acme.test_served import Ground, site
from tests.kit import EdgeKit, Pki, Raw
from tests.kit.edge import until
from tests.wire.test_challenges import asks

Edges = Callable[..., EdgeKit]
DAY = dt.timedelta(days=1)


class Clients:
    """They come one after the other, as quickly as they are served, and judge each certificate by the clock."""

    def __init__(self, port: int, name: str, clock: Moved) -> None:
        self.port, self.name, self.clock = port, name, clock
        self.served, self.wrong, self.ending = 0, list[str](), threading.Event()
        self.seen: set[int] = set()
        self.threads = [threading.Thread(target=self.come) for _ in range(2)]
        for it in self.threads:
            it.start()

    def come(self) -> None:
        while not self.ending.is_set():
            before = self.clock()
            try:
                shown = x509.load_der_x509_certificate(asks(self.port, self.name, ["http/1.1"])[1])
            except OSError as e:
                self.wrong.append(f"{before}: {e!r}")
                continue
            self.seen.add(shown.serial_number)
            # The clock may be moved while it is looked at: at one of the two moments it was right.
            if not any(shown.not_valid_before_utc <= at < shown.not_valid_after_utc for at in (before, self.clock())):
                self.wrong.append(f"{before}: {shown.not_valid_before_utc} to {shown.not_valid_after_utc}")
            self.served += 1

    def close(self) -> None:
        self.ending.set()
        for it in self.threads:
            it.join(30)


@pytest.fixture
def clock(tmp_path: Path) -> Moved:
    return Moved(tmp_path / "moved.sock")


@pytest.fixture
def ground(
    edge: Edges, raw: Callable[..., Raw], pki: Pki, names: Names, tmp_path: Path, clock: Moved
) -> Iterator[Ground]:
    def moved(*arguments: str) -> EdgeKit:
        return edge(*arguments, under=[sys.executable, "-m", "tests.acme.moved", str(clock.at)])

    it = Ground(moved, raw, pki, names, tmp_path)
    yield it
    it.pebble.close()


@pytest.mark.thorough
def test_ninety_days_of_renewals_under_load_fail_no_handshake(ground: Ground, clock: Moved) -> None:
    it = ground.start(site("new", "new.test") + ground.route("new.test"), more='profile = "shortlived"\n')
    until(lambda: ground.shown("new.test") is not None, 60)
    begun, renewals = clock(), 0

    def told() -> dict[str, object]:
        (found,) = it.admin("status")["supervisor"]["acme"]
        assert found["problem"] is None, found
        return dict(found)

    def moved_on(was: dict[str, object]) -> bool:
        now = told()
        return not now["pending"] and now["next_try"] != was["next_try"]

    with closing(Clients(ground.secure, "new.test", clock)) as clients:

        def more_than(seen: int) -> bool:
            return len(clients.seen) > seen

        was = told()
        until(lambda: clients.seen)
        while clock() - begun < 90 * DAY:
            clock.go_to(dt.datetime.fromisoformat(str(was["next_try"])))
            until(partial(moved_on, was), 60)
            now = told()
            if now["until"] != was["until"]:
                renewals += 1
                # What is issued lies on the disk; it is in force once somebody was shown it, and only then time goes on.
                until(partial(more_than, renewals), 60)
            was = now
    assert clients.wrong == [] and clients.served > 10 * renewals
    # A certificate of six days is renewed at half of its life, or when the authority suggests to.
    assert 15 <= renewals <= 35 and len(clients.seen) > renewals

"""A keeper over months, with an authority that says yes and no as it likes: simulated, with real certificates, keys and files."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from everyhop.acme import Authority, Keeper, Site, Store, work
from everyhop.acme.backoff import MOST_ISSUED, MOST_REFUSED
from everyhop.acme.judge import Chain
from everyhop.acme.order import Desk, Order, key_to_come
from everyhop.acme.problem import KINDS, Kind, Problem, Stopped

ISSUER = ec.generate_private_key(ec.SECP256R1())
BEGIN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
HOUR, DAY, WEEK = dt.timedelta(hours=1), dt.timedelta(days=1), dt.timedelta(days=7)
OWN = Authority("own", "https://own.test/", Path("/ca.pem"))


class World:
    """A clock, an authority, and what was asked of it."""

    def __init__(
        self, folder: Path, patch: pytest.MonkeyPatch, life: dt.timedelta, says: Callable[[], Kind | None]
    ) -> None:
        self.now, self.life, self.says = BEGIN, life, says
        self.refused: list[dt.datetime] = []
        self.issued: list[dt.datetime] = []
        self.folder, self.random = folder, random.Random(7)
        patch.setattr(work, "advanced", self.advanced)
        patch.setattr(work.Work, "talk", self.talk)
        # Nothing here is about disks, and a simulated month has thousands of writes.
        patch.setattr("os.fsync", lambda _: None)

    def keeper(self) -> Keeper:
        publisher = SimpleNamespace(kinds=("http-01",), publish=lambda *_: 0.0, withdraw=lambda *_: None)
        return Keeper(
            Store(self.folder), [OWN], publisher, terms_agreed=True, clock=lambda: self.now, lot=self.random.random
        )

    def talk(self, authority: Authority, now: float) -> tuple[Any, Any]:
        directory = SimpleNamespace(profiles={}, renewal_info=None)
        return SimpleNamespace(directory_=directory, network=SimpleNamespace(close=lambda: None, who="own")), None

    def advanced(self, order: Order, desk: Desk) -> Chain | float:
        if (no := self.says()) is not None:
            if no in {"refused", "spent"}:
                self.refused.append(self.now)
            if no == "spent":
                desk.issuing()
                self.issued.append(self.now)
            raise Stopped(Problem(no, "no"))
        desk.issuing()
        self.issued.append(self.now)
        key = key_to_come(desk)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
        leaf = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now - HOUR / 60)
            .not_valid_after(self.now + self.life)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(it) for it in order.names]), critical=False)
            .sign(ISSUER, hashes.SHA256())
        )
        return Chain((leaf,))

    def pass_(self, keeper: Keeper, until: dt.datetime, judge: Callable[[], None]) -> None:
        for _ in range(100_000):
            it = keeper.step()
            assert it.fault is None, it.fault
            judge()
            if self.now >= until:
                return
            self.now += dt.timedelta(seconds=it.wait_s + 0.001)
        raise AssertionError("it never waits")


def most_within(times: list[dt.datetime], within: dt.timedelta) -> int:
    return max((sum(one <= it < one + within for it in times) for one in times), default=0)


@pytest.mark.thorough
@pytest.mark.parametrize("life", [HOUR, DAY, 6 * DAY, 47 * DAY, 90 * DAY])
def test_nothing_expires_while_the_authority_says_yes(
    life: dt.timedelta, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path / "s", monkeypatch, life, lambda: None)
    it = world.keeper()
    both = ("ecdsa-p256", "rsa-2048") if life == 47 * DAY else ("ecdsa-p256",)
    it.configure([Site("a", ("a.test",)), Site("b", ("b.test",), keys=both)])
    world.pass_(it, BEGIN + HOUR / 60, lambda: None)
    assert len(it.in_force()) == 1 + len(both)

    def judge() -> None:
        assert all(found.begins <= world.now < found.ends for found in it.in_force())

    world.pass_(it, BEGIN + min(8 * life, 120 * DAY), judge)
    assert len(world.issued) > 3


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(8))
def test_whatever_an_authority_says_it_is_never_asked_more_often_than_is_stated(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is it given up: once it says yes again, there is a certificate within a day and a half."""
    draw = random.Random(seed)
    well = [False]
    world = World(tmp_path / "s", monkeypatch, 6 * DAY, lambda: None if well[0] else draw.choice((*KINDS, None)))
    it = world.keeper()
    it.configure([Site("a", ("a.test",))])
    for day in range(1, 40):
        world.pass_(it, BEGIN + day * DAY, lambda: None)
        if draw.random() < 0.3:  # Restarts do not make it forget.
            it.close()
            it = world.keeper()
            it.configure([Site("a", ("a.test",))])
    assert most_within(world.refused, HOUR) <= MOST_REFUSED
    assert most_within(world.issued, WEEK) <= MOST_ISSUED
    well[0] = True
    back = world.now
    world.pass_(it, back + 7 * DAY, lambda: None)
    (found,) = it.in_force()
    assert found.begins <= world.now < found.ends


def test_a_clock_that_is_set_back_for_years_does_not_stop_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no: list[Kind | None] = ["refused"]
    world = World(tmp_path / "s", monkeypatch, 6 * DAY, lambda: no[0])
    world.now += 2000 * DAY
    it = world.keeper()
    it.configure([Site("a", ("a.test",))])
    world.pass_(it, world.now + 5 * HOUR, lambda: None)
    world.now, no[0] = BEGIN, None
    again = world.keeper()
    again.configure([Site("a", ("a.test",))])
    world.pass_(again, BEGIN + 8 * HOUR, lambda: None)
    assert len(again.in_force()) == 1


def test_nor_does_a_clock_that_is_set_back_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no: list[Kind | None] = ["limited"]
    world = World(tmp_path / "s", monkeypatch, 6 * DAY, lambda: no[0])
    world.now += 2000 * DAY
    it = world.keeper()
    it.configure([Site("a", ("a.test",))])
    world.pass_(it, world.now + 5 * HOUR, lambda: None)
    world.now, no[0] = BEGIN, None
    world.pass_(it, BEGIN + 8 * DAY, lambda: None)
    (found,) = it.in_force()
    assert found.begins <= world.now < found.ends


def test_a_fault_of_our_own_at_one_site_is_told_and_keeps_no_other_from_its_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path / "s", monkeypatch, 6 * DAY, lambda: None)
    plain = world.advanced

    def faulty(order: Order, desk: Desk) -> Chain | float:
        if order.names == ("bad.test",):
            raise RuntimeError("a bug")
        return plain(order, desk)

    monkeypatch.setattr(work, "advanced", faulty)
    it = world.keeper()
    it.configure([Site("bad", ("bad.test",)), Site("good", ("good.test",))])
    faults = []
    for _ in range(20):
        stepped = it.step()
        faults += [stepped.fault] if stepped.fault else []
        world.now += dt.timedelta(seconds=stepped.wait_s)
    assert faults and all(isinstance(one, RuntimeError) for one in faults)
    told = {one.site: one for one in it.status()}
    assert told["good"].until is not None and told["good"].problem is None
    assert "a fault of Everyhop's own: RuntimeError: a bug" in str(told["bad"].problem)


def test_the_standing_of_all_is_the_very_same_until_something_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The supervisor asks several times a second, of ten thousand sites; what is the same it need not look through."""
    world = World(tmp_path / "s", monkeypatch, 6 * DAY, lambda: None)
    it = world.keeper()
    it.configure([Site("a", ("a.test",)), Site("b", ("b.test",))])
    it.step()
    before = it.status()
    assert it.status() is before and [one.problem for one in before] == [None, None]
    for one in it.authorities:
        it.standings.silent(one.url, Problem("outage", "it does not answer"), world.now.timestamp())
    away = it.status()
    assert away is not before and it.status() is away
    assert [one.problem is None for one in away] == [True, False], (
        "one is there, and nobody is left to be asked for the other"
    )
    for one in it.authorities:
        it.standings.answers(one.url)
    assert [one.problem for one in it.status()] == [None, None]


def test_a_certificate_that_is_in_force_is_told_of_whatever_the_disk_does_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path / "s", monkeypatch, 6 * DAY, lambda: None)
    it = world.keeper()
    it.configure([Site("a", ("a.test",))])

    def full(self: Store, name: str) -> None:
        raise Stopped(Problem("here", "no space"))

    monkeypatch.setattr(Store, "remove", full)
    changed: list[str] = []
    for _ in range(4):
        stepped = it.step()
        changed += stepped.changed
        world.now += dt.timedelta(seconds=stepped.wait_s)
    assert changed == ["a"] and len(it.in_force()) == 1 and len(world.issued) == 1


def test_what_somebody_mended_is_tried_at_once_and_what_an_authority_refused_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind, at_once in (("here", True), ("refused", False)):
        no: list[Kind | None] = [kind]  # type: ignore[list-item]
        world = World(tmp_path / kind, monkeypatch, 6 * DAY, lambda: no[0])  # noqa: B023
        it = world.keeper()
        it.configure([Site("a", ("a.test",))])
        world.pass_(it, BEGIN + HOUR * 5, lambda: None)
        no[0] = None
        it.configure([Site("a", ("a.test",), challenges=("http-01",))])
        it.step()
        assert bool(it.in_force()) is at_once


def test_refusals_are_counted_whatever_names_somebody_tries_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path / "s", monkeypatch, 6 * DAY, lambda: "refused")
    it = world.keeper()
    for minute in range(180):
        it.configure([Site("a", (f"x{minute}.test",))])
        it.step()
        world.now += HOUR / 60
    assert most_within(world.refused, HOUR) == MOST_REFUSED < len(world.refused)

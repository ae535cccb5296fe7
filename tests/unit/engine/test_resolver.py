"""Addresses of backends' names: what the engine is told can be read by it."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from everyhop.engine.resolver import AGAIN_S, Found, Places, Resolver
from tests.kit.edge import until


def info(address: str) -> tuple[object, ...]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return (family, socket.SOCK_STREAM, 6, "", (address, 0))


def test_an_address_that_only_one_link_knows_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """`fe80::1%eth0` is an address and a link's name: the engine refuses it, and with it every other of that message."""
    answer = [info("fe80::1%lo"), info("10.0.0.5"), info("2001:db8::1"), info("10.0.0.5")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answer)
    it = Resolver({"b.test"})
    assert it.answers(5.0) == {"b.test": ["10.0.0.5", "2001:db8::1"]}
    it.stop()


class Panicked(BaseException):
    """As what a library's Rust raises."""


@pytest.mark.parametrize("wrong", [UnicodeError("label too long"), KeyError("ours"), Panicked("theirs")])
def test_whatever_goes_wrong_with_one_name_leaves_the_others(
    monkeypatch: pytest.MonkeyPatch, wrong: BaseException
) -> None:
    """Asked for one after the other by the same thread, so that it would end with the first."""

    def getaddrinfo(name: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        if name == "a.test":
            raise wrong
        return [info("10.0.0.5")]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    it = Resolver({"a.test", "b.test"}, together=1)
    assert it.answers(5.0) == {"b.test": ["10.0.0.5"]}
    assert str(wrong) in it.failed["a.test"] and "b.test" not in it.failed
    it.stop()


class Names:
    """A resolver of which a test says what it answers, and when."""

    def __init__(self) -> None:
        self.held = threading.Event()
        self.asked: list[str] = []

    def __call__(self, name: str) -> Found:
        self.asked.append(name)
        if name.startswith("hangs"):
            self.held.wait(60)
            raise OSError("it took too long")
        if name.startswith("gone"):
            raise OSError("no such name")
        return Found(["10.0.0.5"])


@pytest.fixture
def names() -> Iterator[Names]:
    it = Names()
    yield it
    it.held.set()


def test_names_that_hang_hold_back_no_other(names: Names) -> None:
    hanging = {f"hangs{i}.test" for i in range(20)}
    it = Resolver({*hanging, "z.test"}, ask=names)
    until(lambda: it.known() == {"z.test": ["10.0.0.5"]})
    assert it.fresh.is_set()
    it.stop()


def test_a_name_that_was_slow_comes_after_those_that_are_quick(names: Names) -> None:
    it = Resolver({"a.test", "b.test"}, 0.0, ask=names, together=0)
    assert [it.next(), it.next()] == ["a.test", "b.test"]
    it.answered("a.test", Found(["10.0.0.1"]), slow=True)
    it.answered("b.test", Found(["10.0.0.1"]), slow=False)
    assert [it.next(), it.next()] == ["b.test", "a.test"], "though the other one waits longer"
    for name in ("a.test", "b.test"):
        it.answered(name, Found(["10.0.0.1"]), slow=False)
    assert [it.next(), it.next()] == ["a.test", "b.test"]


def test_each_name_is_asked_for_by_one_thread_at_a_time_and_again_when_it_is_due(names: Names) -> None:
    it = Resolver({"hangs.test", "a.test"}, 0.02, ask=names)
    until(lambda: names.asked.count("a.test") > 5)
    assert names.asked.count("hangs.test") == 1
    it.stop()
    for thread in it.threads:
        names.held.set()
        thread.join(10)
    assert not any(thread.is_alive() for thread in it.threads)


def test_a_name_that_is_gone_keeps_its_last_addresses_and_those_of_before_hold_from_the_start(names: Names) -> None:
    known: Places = {"gone.test": ["10.0.0.1"], "a.test": ["10.0.0.1"], "dropped.test": ["10.0.0.1"]}
    it = Resolver({"gone.test", "hangs.test", "a.test"}, 0.02, known=known, ask=names)
    until(lambda: names.asked.count("gone.test") > 3)
    assert it.answers() == {"gone.test": ["10.0.0.1"], "a.test": ["10.0.0.5"]}
    assert it.unresolved() == {"gone.test": "no such name"}
    it.answered("gone.test", Found(["10.0.0.9"]))
    assert it.unresolved() == {} and it.known()["gone.test"] == ["10.0.0.9"]
    it.stop()


def test_what_is_known_is_given_at_once_and_what_is_not_is_waited_for(names: Names) -> None:
    it = Resolver({"hangs.test"}, ask=names)
    began = time.monotonic()
    assert it.answers(0.3) == {} and time.monotonic() - began >= 0.3
    known = Resolver({"hangs.test"}, known={"hangs.test": ["10.0.0.1"]}, ask=names)
    began = time.monotonic()
    assert known.answers(30) == {"hangs.test": ["10.0.0.1"]} and time.monotonic() - began < 15
    it.stop()
    known.stop()


class Clock:
    """What a resolver takes for the time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("everyhop.engine.resolver.time.monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.mark.parametrize(
    ("holds_s", "again_s"),
    [(None, 60.0), (7.0, 7.0), (0.0, 1.0), (86400.0, 60.0)],
    ids=["unsaid", "short", "0", "long"],
)
def test_an_answer_is_believed_for_as_long_as_it_says_within_bounds(
    clock: Clock, names: Names, holds_s: float | None, again_s: float
) -> None:
    it = Resolver({"a.test"}, 60.0, ask=names, together=0)
    assert it.next() == "a.test"
    it.answered("a.test", Found(["10.0.0.1"], holds_s))
    assert it.due == {"a.test": clock.now + again_s}
    it.stop()


def test_a_name_that_failed_is_tried_again_sooner_than_one_that_answered(clock: Clock, names: Names) -> None:
    it = Resolver({"a.test"}, 60.0, ask=names, together=0)
    it.next()
    it.answered("a.test", None, "no such name")
    assert it.due == {"a.test": clock.now + AGAIN_S}


def test_whose_backend_cannot_be_reached_is_asked_for_at_once_and_then_less_and_less_often(
    clock: Clock, names: Names
) -> None:
    it = Resolver({"a.test", "b.test"}, 60.0, ask=names, together=0)

    def answer(*ips: str) -> None:
        for _ in range(sum(at <= clock.now for at in it.due.values())):
            name = it.next()
            assert name is not None
            it.answered(name, Found(list(ips)))

    answer("10.0.0.1")
    asked = []
    for _ in range(200):
        clock.now += 1
        it.hasten(["a.test", "unknown.test"])
        if it.due["a.test"] <= clock.now:
            asked.append(clock.now - 1000)
            answer("10.0.0.1")
    assert asked[:5] == [1.0, 3.0, 7.0, 15.0, 31.0] and all(b - a <= 60 for a, b in itertools.pairwise(asked))
    assert it.pause_s.keys() == {"a.test"}
    it.hasten([])
    assert it.pause_s == {}, "it is reached again: the next time is a first one"
    clock.now += 2
    it.hasten(["a.test"])
    assert it.due["a.test"] <= clock.now

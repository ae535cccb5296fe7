"""Authorities that are down, that lie, that say no: what is told of it, whom else is asked, and how long is waited."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from everyhop.acme import Authority, Keeper, Problem, Site, authority
from everyhop.acme.backoff import MOST_REFUSED
from everyhop.demo.stage import free_port
from tests.acme.between import Between, Said, Twist, as_it_came
from tests.acme.edge import Clock, Edge, drive, only, settled
from tests.acme.pebble import Pebble
from tests.kit import Pki
from tests.kit.edge import until

Start = Callable[..., Keeper]
Pebbles = Callable[..., Pebble]
Betweens = Callable[..., Between]
SHOP = Site("shop", ("a.test",))
HASTE_S = 2.0
"""For a step, where an authority does not answer."""


@pytest.fixture
def between(pki: Pki) -> Iterator[Betweens]:
    with ExitStack() as stack:

        def start(port: int | None, twist: Twist = as_it_came) -> Between:
            return stack.enter_context(closing(Between(pki, port, twist)))

        yield start


def by(pki: Pki, it: Between) -> Authority:
    return authority(it.url, pki.public.file)


def problem_of(keeper: Keeper, clock: Clock) -> Problem:
    keeper.configure([SHOP])
    drive(keeper, clock, lambda: only(keeper).problem is not None)
    found = only(keeper).problem
    assert found is not None
    return found


LIES: dict[str, tuple[Said, str]] = {
    "hangs": (Said(silent=True), "no answer within 2 s"),
    "drips": (Said(drip=True), "no answer within 2 s"),
    "breaks off": (Said(body=b"{", length=100), "no answer within 2 s"),
    "may be cut short": (
        Said(body=b'{"newNonce": "https://a.test/"}', unbounded=True),
        "does not say how long its answer is",
    ),
    "answers garbage": (Said(body=b"\x00\xff garbage"), "answers what no ACME server does"),
    "answers a page": (Said(503, {"Content-Type": "text/html"}, b"<h1>maintenance</h1>"), "answers with 503"),
    "answers another's JSON": (Said(body=b'{"hello": 1}'), "is no ACME directory"),
    "answers a list": (Said(body=b"[]"), "is no ACME directory"),
    "answers too deep": (Said(body=b"[" * 100_000), "answers what no ACME server does"),
    "answers without end": (Said(body=b" " * (1 << 20)), "answers with more than 262144 bytes"),
    "sends elsewhere": (Said(302, {"Location": "/dir"}), "sends us to /dir (a redirect)"),
    "sends into the clear": (
        Said(body=json.dumps(dict.fromkeys(("newNonce", "newAccount", "newOrder"), "http://a.test/")).encode()),
        "is no ACME directory",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_authority_that(lie: str, between: Betweens, keeper: Start, clock: Clock, pki: Pki) -> None:
    """... is told in one sentence, costs a step no more than its time, and is left in peace then."""
    said, words = LIES[lie]
    liar = between(None, lambda *_: said)
    it = keeper(by(pki, liar), step_s=HASTE_S)
    it.configure([SHOP])
    began = time.monotonic()
    waits = [it.step().wait_s for _ in range(3)]
    took = time.monotonic() - began
    found = only(it).problem
    assert found is not None and found.kind == "outage" and words in found.said, found
    assert len(liar.asked) == 1 and took < HASTE_S + 8, "the steps after it asked nothing"
    assert 60 - 2 * HASTE_S < min(waits) <= max(waits) <= 75


def test_an_authority_that_is_not_whom_we_trust_is_asked_nothing(
    between: Betweens, keeper: Start, clock: Clock, pki: Pki
) -> None:
    liar = between(None)
    it = keeper(authority(liar.url, pki.internal.file))
    assert "certificate verify failed" in problem_of(it, clock).said.lower()
    assert not liar.asked


def test_roots_that_are_not_there_are_told_and_nothing_is_asked(
    between: Betweens, keeper: Start, clock: Clock, tmp_path: Path
) -> None:
    liar = between(None)
    it = keeper(authority(liar.url, tmp_path / "ca.pem"))
    found = problem_of(it, clock)
    assert found.kind == "here" and found.said == f"{tmp_path / 'ca.pem'}, by which it would be verified, is not there"
    assert not liar.asked


def test_the_next_authority_is_asked_when_one_is_down(pebble: Pebbles, keeper: Start, clock: Clock, pki: Pki) -> None:
    down = authority(f"https://127.0.0.1:{free_port()}/dir", pki.public.file)
    up = pebble().authority()
    it = keeper(down, up)
    it.configure([SHOP])
    before = clock()
    drive(it, clock, lambda: settled(it))
    assert only(it).authority == up.name
    assert clock() - before < dt.timedelta(minutes=1), "nobody waited for the one that is down"


def test_an_order_is_begun_anew_at_the_next_authority_when_its_own_goes_away(
    pebble: Pebbles, between: Betweens, keeper: Start, clock: Clock, pki: Pki, answering: Edge
) -> None:
    first, second = pebble(), pebble().authority()

    def gone(method: str, path: str, said: Said) -> Said:
        return Said(503) if path.startswith(("/my-order", "/authZ")) else said

    it = keeper(by(pki, between(first.port, gone)), second)
    it.configure([SHOP])
    drive(it, clock, lambda: settled(it))
    assert only(it).authority == second.name and not answering.tokens and not answering.contexts


def test_an_order_goes_on_where_it_was_when_its_authority_comes_back(
    pebble: Pebbles, between: Betweens, keeper: Start, clock: Clock, pki: Pki
) -> None:
    down = [True]

    def some(method: str, path: str, said: Said) -> Said:
        return Said(502) if down[0] and path.startswith("/authZ") else said

    front = between(pebble().port, some)
    it = keeper(by(pki, front))
    begun = clock()
    found = problem_of(it, clock)
    assert found.kind == "outage" and only(it).pending
    drive(it, clock, lambda: clock() - begun > dt.timedelta(hours=5))
    down[0] = False
    drive(it, clock, lambda: settled(it))
    assert front.posts("/order-plz") == 1


def test_nobody_waits_for_a_step_that_waits_for_an_authority(
    between: Betweens, keeper: Start, clock: Clock, pki: Pki
) -> None:
    liar = between(None, lambda *_: Said(silent=True))
    it = keeper(by(pki, liar), step_s=HASTE_S)
    it.configure([SHOP])
    with ThreadPoolExecutor(1) as pool:
        stepping = pool.submit(it.step)
        until(lambda: liar.asked)
        it.configure([SHOP, Site("wiki", ("w.test",))])
        assert [told.site for told in it.status()] == ["shop"] and it.in_force() == []
        assert not stepping.done(), "all that was while it waited"
        stepping.result(30)
    it.step()
    assert [told.site for told in it.status()] == ["shop", "wiki"]


def test_when_all_are_down_it_is_told_and_the_first_that_is_up_again_is_asked(
    pebble: Pebbles, between: Betweens, keeper: Start, clock: Clock, pki: Pki
) -> None:
    down = [True]
    real = pebble()
    front = between(real.port, lambda method, path, said: Said(503) if down[0] else said)
    dead = authority(f"https://127.0.0.1:{free_port()}/dir", pki.public.file)
    it = keeper(dead, by(pki, front))
    it.configure([SHOP])
    begun = clock()
    drive(it, clock, lambda: clock() - begun > dt.timedelta(hours=12))
    tries = len(front.asked)
    assert only(it).problem is not None and only(it).until is None
    assert tries <= 6 + 12 + 1, "six in the first hour, and then one each hour"
    down[0] = False
    drive(it, clock, lambda: settled(it))
    assert only(it).problem is None


def test_an_outage_is_told_of_every_site_that_waits_for_its_end_and_of_no_other(
    pebble: Pebbles, between: Betweens, keeper: Start, clock: Clock, pki: Pki
) -> None:
    down = [False]
    front = between(pebble().port, lambda method, path, said: Said(503) if down[0] else said)
    it = keeper(by(pki, front))
    it.configure([SHOP])
    drive(it, clock, lambda: settled(it))
    down[0] = True
    clock.wait(3600)
    it.configure([SHOP, Site("wiki", ("w.test",)), Site("mail", ("m.test",))])
    drive(it, clock, lambda: any(told.problem for told in it.status()), steps=8)
    told = {one.site: one for one in it.status()}
    assert told["shop"].problem is None and told["shop"].until is not None
    for site in ("wiki", "mail"):
        found = told[site].problem
        assert found is not None and found.said == "answers with 503" and told[site].next_try > clock()
    # Both wait together: one question for all.
    assert len([path for _, path in front.asked if path == "/dir"]) == 2


def test_names_that_an_authority_refuses_are_told_for_each_in_its_words(
    pebble: Pebbles, keeper: Start, clock: Clock
) -> None:
    it = keeper(pebble(blocked=["bad.test"]).authority())
    it.configure([Site("shop", ("a.test", "bad.test"))])
    drive(it, clock, lambda: only(it).problem is not None)
    found = only(it).problem
    assert found is not None and found.kind == "refused" and found.code == "rejectedIdentifier"
    assert "bad.test" in str(found)


def test_a_name_that_cannot_be_proved_is_told_in_the_authority_s_words(
    pebble: Pebbles, keeper: Start, clock: Clock, answering: Edge
) -> None:
    it = keeper(pebble().authority())
    publish = answering.publish

    def wrong(kind: str, name: str, token: str, key_authorization: str) -> float:
        return publish(kind, name, token, f"{key_authorization}x" if name == "b.test" else key_authorization)

    answering.publish = wrong  # type: ignore[method-assign]
    it.configure([Site("shop", ("a.test", "b.test"), challenges=("http-01",))])
    drive(it, clock, lambda: only(it).problem is not None)
    found = only(it).problem
    assert found is not None and found.kind == "refused", found
    assert [name for name, _ in found.parts] == ["b.test"] and "http-01: " in found.parts[0][1], found
    assert not answering.tokens, "what was published is withdrawn"


def test_refusals_are_never_more_in_an_hour_than_is_stated_whatever_is_configured_meanwhile(
    pebble: Pebbles, between: Betweens, keeper: Start, clock: Clock, pki: Pki
) -> None:
    front = between(pebble(blocked=["bad.test"]).port)
    it = keeper(by(pki, front))
    begun, at = clock(), list[dt.datetime]()
    while clock() - begun < dt.timedelta(hours=3):
        before = front.posts("/order-plz")
        # Somebody edits the file again and again.
        it.configure([Site("shop", ("bad.test", f"x{len(at)}.test"))])
        it.step()
        at += [clock()] * (front.posts("/order-plz") - before)
        clock.wait(60)
    assert len(at) > MOST_REFUSED, "it goes on trying"
    assert all(sum(one <= it < one + dt.timedelta(hours=1) for it in at) <= MOST_REFUSED for one in at)


def test_a_limit_is_kept_as_long_as_the_authority_says_and_told_in_its_words(
    pebble: Pebbles, between: Betweens, keeper: Start, clock: Clock, pki: Pki
) -> None:
    limited = [True]
    words = "too many certificates (5) already issued for this exact set of identifiers"
    told = {"type": "urn:ietf:params:acme:error:rateLimited", "detail": words, "status": 429}

    def limit(method: str, path: str, said: Said) -> Said:
        if path != "/order-plz" or not limited[0]:
            return said
        fields = {
            "Content-Type": "application/problem+json",
            "Retry-After": "36000",
            "Replay-Nonce": said.fields["Replay-Nonce"],
        }
        return Said(429, fields, json.dumps(told).encode())

    front = between(pebble().port, limit)
    it = keeper(by(pki, front))
    found = problem_of(it, clock)
    assert (found.kind, found.said) == ("limited", words)
    wait = only(it).next_try - clock()
    assert dt.timedelta(hours=9, minutes=59) < wait < dt.timedelta(hours=12.6)
    limited[0] = False
    begun = clock()
    drive(it, clock, lambda: settled(it))
    assert clock() - begun >= dt.timedelta(hours=9.9)
    assert front.posts("/order-plz") == 2, front.asked


def test_an_account_that_the_authority_has_lost_is_made_again_with_the_same_key(
    pebble: Pebbles, between: Betweens, keeper: Start, clock: Clock, pki: Pki, tmp_path: Path
) -> None:
    first = pebble()
    front = between(first.port)
    it = keeper(by(pki, front))
    it.configure([SHOP])
    drive(it, clock, lambda: settled(it))
    (key,) = (tmp_path / "state" / "accounts").rglob("key.pem")
    before = key.read_bytes()
    # Pebble forgets everything when it is started anew.
    first.close()
    front.ahead = pebble().port
    it.configure([SHOP, Site("wiki", ("w.test",))])
    drive(it, clock, lambda: settled(it))
    assert key.read_bytes() == before


def test_what_a_stranger_says_is_one_short_line_that_does_nothing_to_a_terminal(
    pebble: Pebbles, between: Betweens, keeper: Start, clock: Clock, pki: Pki
) -> None:
    told = {"type": "urn:ietf:params:acme:error:malformed", "detail": "no\x1b[2J\n" + "x" * 10_000, "status": 400}

    def refuse(method: str, path: str, said: Said) -> Said:
        return (
            Said(400, {"Content-Type": "application/problem+json"}, json.dumps(told).encode())
            if path == "/order-plz"
            else said
        )

    found = problem_of(keeper(by(pki, between(pebble().port, refuse))), clock)
    assert str(found).isprintable() and len(str(found)) < 800

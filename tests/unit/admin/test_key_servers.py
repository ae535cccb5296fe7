"""Keys that are fetched: how long they are believed, when they are asked for again, and what an answer is worth."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from everyhop.admin.key_answers import LEAST_S, MOST_S, USUAL_S, NotUsed, Set, holds_s, judged
from everyhop.admin.key_servers import DAY_S, KeyServers
from everyhop.compile import Compiled, compile_file
from tests.kit.edge import until
from tests.kit.tokens import Issuer

TEXT = """version = 1
[[listener]]
name = "l"
bind = ["127.0.0.1:8443"]
[[site]]
name = "s"
hosts = ["a.test"]
certs = [{ chain = "x", key = "file:y" }]
[[issuer]]
name = "corp"
issuer = "https://login.test"
audience = "api"
algorithms = ["ES256"]
keys = { from = "https://login.test/keys", verify = { ca = "c" } }
[[route]]
name = "r"
host = "a.test"
tls = "plaintext"
to = ["127.0.0.1:1"]
jwt = { issuer = "corp" }
"""


def compiled(text: str = TEXT) -> Compiled:
    return compile_file("c.toml", files="skip", text=text)


def answer(*issuers: Issuer, **more: object) -> dict[str, Any]:
    body = json.dumps({"keys": [it.jwk() for it in issuers]})
    bare = {"status": 200, "cache_control": [], "age": [], "is_text": True, "hop": None}
    return {**bare, "body": body, "bytes": len(body), **more}


class Stage:
    """Of a clock that the test sets and a server that answers what it is told."""

    def __init__(self, config: Path, told: dict[str, Any]) -> None:
        self.told, self.asked, self.now = told, 0, 1_000_000.0
        self.it = KeyServers(config, fetch=self.fetch, now=lambda: self.now)

    def fetch(self, of: Compiled, issuer: str) -> dict[str, object]:
        self.asked += 1
        return self.told

    def sent(self, **more: Any) -> str | None:
        """The keys that go to the engine."""
        blob = json.loads(self.it.over(compiled(), **more).material.blob)
        found = blob.get("fetched", {}).get("issuer/corp")
        return None if found is None else str(found)


@pytest.fixture
def stage(runtime: Path) -> Iterator[Stage]:
    it = Stage(runtime / "c.toml", answer(Issuer()))
    yield it
    it.it.stop()


def test_a_plan_without_such_an_issuer_is_sent_nothing_and_nobody_is_asked(runtime: Path) -> None:
    plain = compiled(TEXT.replace('from = "https://login.test/keys", verify = { ca = "c" }', 'file = "k.json"'))
    it = KeyServers(runtime / "c.toml")
    assert it.over(plain) is plain and not it.threads


def test_the_first_plan_waits_for_its_keys_and_they_are_listed_with_the_material(stage: Stage) -> None:
    before = compiled()
    after = stage.it.over(before)
    assert json.loads(after.material.blob)["fetched"]["issuer/corp"] == stage.told["body"]
    assert [e["id"] for e in after.material.entries if e not in before.material.entries] == ["issuer/corp"]
    assert (after.plan_digest, after.material.digest != before.material.digest) == (before.plan_digest, True)
    assert stage.it.is_new(before) and not stage.it.is_new(after), "the engine has them"
    assert stage.asked == 1


def test_who_is_slow_holds_a_plan_back_no_longer_than_that(runtime: Path) -> None:
    go = threading.Event()

    def fetch(of: Compiled, issuer: str) -> dict[str, object]:
        go.wait(30)
        return answer(Issuer())

    it = KeyServers(runtime / "c.toml", fetch=fetch)
    assert "fetched" not in json.loads(it.over(compiled(), wait_s=0.01).material.blob)
    go.set()
    until(lambda: it.is_new(compiled()))
    it.stop()


def test_the_last_good_set_is_believed_for_a_day_and_no_longer(stage: Stage) -> None:
    good = stage.sent()
    stage.told = answer(status=503)
    stage.it.ask_all()
    until(stage.it.failing)
    stage.now += DAY_S - 1
    running = stage.it.over(compiled())
    assert stage.sent() == good and not stage.it.is_new(running)
    stage.now += 1
    assert stage.it.is_new(running) and stage.sent() is None
    ((_, used),) = stage.it.failing()
    assert used is None


def test_what_was_good_is_there_after_a_start_and_only_for_the_same_server(runtime: Path) -> None:
    first = Stage(runtime / "c.toml", answer(Issuer()))
    good = first.sent()
    first.it.stop()
    second = Stage(runtime / "c.toml", answer(status=503))
    assert second.sent() == good
    third = Stage(runtime / "c.toml", answer(status=503))
    third.now += DAY_S
    assert third.sent() is None, "it is as old as it is"
    moved = compiled(TEXT.replace('ca = "c"', 'ca = "d"'))
    assert "fetched" not in json.loads(second.it.over(moved).material.blob), "it was known by another authority"
    for it in (second, third):
        it.it.stop()


def test_a_plan_that_no_engine_took_changes_nothing_of_who_is_asked(stage: Stage) -> None:
    running = stage.it.over(compiled())
    stage.it.over(compiled(TEXT.replace("https://login.test/keys", "https://other.test/keys")))
    assert not stage.it.is_of(running)
    stage.it.follow(running)
    assert stage.it.is_of(running) and not stage.it.is_new(running)


def test_a_key_that_is_not_there_is_asked_for_at_once_and_then_not_for_a_while(stage: Stage) -> None:
    stage.sent()
    stage.it.are(frozenset({7}))
    stage.it.told()
    stage.it.lacks("corp", 1, 7)
    until(lambda: stage.asked == 2)
    until(lambda: [it.told for it in stage.it.told()] == [{7: 1}] or None)
    stage.it.lacks("corp", 2, 7)
    assert [it.told for it in stage.it.told()] == [{7: 2}], "who waits for it is told that it was asked a moment ago"
    stage.it.lacks("nobody", 1, 7)
    assert stage.asked == 2


def test_engines_count_their_questions_each_by_itself_and_one_that_is_new_is_told_of_all(stage: Stage) -> None:
    stage.sent()
    stage.it.are(frozenset({7}))
    assert [it.told for it in stage.it.told()] == [{}]
    stage.it.lacks("corp", 5, 7)
    until(lambda: [it.told for it in stage.it.told()] == [{7: 5}] or None)
    stage.it.are(frozenset({7, 8}))
    assert [it.told for it in stage.it.told()] == [{7: 5}], "8 has asked nothing"
    stage.it.lacks("corp", 1, 8)
    assert [it.told for it in stage.it.told()] == [{7: 5, 8: 1}]
    stage.it.are(frozenset({8}))
    assert stage.it.told() == [] and stage.it.servers["corp"].told == {8: 1}


def test_a_question_that_comes_while_the_server_is_asked_is_asked_again(runtime: Path) -> None:
    go, asked = threading.Semaphore(0), []

    def fetch(of: Compiled, issuer: str) -> dict[str, object]:
        asked.append(time.monotonic())
        go.acquire()
        return answer(Issuer())

    it = KeyServers(runtime / "c.toml", fetch=fetch)
    it.over(compiled(), wait_s=0)
    until(lambda: len(asked) == 1)
    it.lacks("corp", 1, 7)
    go.release()
    until(lambda: len(asked) == 2)
    assert all(s.told == {} for s in it.told()), "what was under way may be about an older set"
    go.release()
    until(lambda: any(s.told == {7: 1} for s in it.told()))
    it.stop()


@pytest.mark.parametrize(
    ("said", "age", "holds"),
    [
        ([], [], USUAL_S),
        (["public, max-age=900"], [], 900.0),
        (['Max-Age="900"'], ["300"], 600.0),
        (["max-age=0"], [], LEAST_S),
        (["max-age=5", "max-age=900"], [], LEAST_S),
        (["max-age=99999999"], [], MOST_S),
        (["max-age=99999999999999999999"], [], USUAL_S),
        (["max-age=-1"], [], USUAL_S),
        (["max-age=900, no-cache"], [], LEAST_S),
        (["no-store"], [], LEAST_S),
        (["max-age=900"], ["soon"], 900.0),
    ],
)
def test_a_set_is_asked_for_again_as_its_answer_says_within_bounds(
    said: list[str], age: list[str], holds: float
) -> None:
    assert holds_s(said, age) == holds


def test_an_answer_is_used_only_where_a_key_of_it_verifies_what_the_issuer_signs_by() -> None:
    one, other = Issuer(), Issuer("EdDSA")
    assert isinstance(judged(answer(one, other), ["ES256"], 5.0), Set)
    for told, why in (
        (answer(other), "none of its keys verifies"),
        (answer(one, status=302), "no redirect is followed"),
        (answer(one, status=500), "answered 500"),
        (answer(one, bytes=256 * 1024 + 1), "longer than 256 KiB"),
        (answer(one, is_text=False), "no text"),
        (answer(one, body="<html>"), "no set of keys"),
        (answer(), "no key of its set"),
        ({"slug": "hop/untrusted", "why": "it is not known", "detail": "127.0.0.1:1"}, "[hop/untrusted]"),
    ):
        got = judged(told, ["ES256"], 5.0)
        assert isinstance(got, NotUsed) and why in got.why, got


def test_keys_that_no_issuer_should_publish_are_left_out_and_told() -> None:
    one = Issuer()
    odd = json.dumps({"keys": [one.jwk(), {"kty": "oct", "k": "AAAA", "kid": "s"}, {**one.jwk(use="enc")}]})
    got = judged(answer(one, body=odd), ["ES256"], 5.0)
    assert isinstance(got, Set) and (got.keys, len(got.left_out)) == (1, 1)
    assert "'s'" in got.left_out[0] and "secret" in got.left_out[0]

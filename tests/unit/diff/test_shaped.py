"""Which pages of other origins may read answers: what lets them do more is a weakening."""

from __future__ import annotations

import json
from typing import Any

import pytest

from everyhop.diff import Change
from tests.unit.diff.test_diff import compare, golden


def told(was: object, now: object, key: str = "cors") -> list[Change]:
    old = golden()
    at = next(i for i, route in enumerate(old["routes"]) if route["name"] == "shop")
    old["routes"][at]["way"][key] = was
    new = json.loads(json.dumps(old))
    new["routes"][at]["way"][key] = now
    return compare(old, new)


def cors(**more: object) -> dict[str, Any]:
    bare = {"origins": ["https://a.test"], "methods": ["GET"], "headers": [], "expose": [], "max_age_s": 60}
    return {**bare, "credentials": False, **more}


@pytest.mark.parametrize(
    "more",
    [
        {"origins": ["https://a.test", "https://b.test"]},
        {"methods": ["GET", "PUT"]},
        {"headers": ["authorization"]},
        {"expose": ["x-total"]},
        {"credentials": True},
    ],
)
def test_more_of_it_is_weaker_and_less_is_stronger(more: dict[str, Any]) -> None:
    assert [c.allow for c in told(cors(), cors(**more))] == ["cors-widened:shop"]
    assert [c.kind for c in told(cors(**more), cors())] == ["cors-narrowed"]


def test_another_origin_in_the_place_of_one_is_weaker() -> None:
    assert [c.kind for c in told(cors(), cors(origins=["https://b.test"]))] == ["cors-widened"]


def test_to_begin_with_it_or_to_leave_it_to_the_backend_is_told_as_weaker() -> None:
    assert [c.kind for c in told(None, cors())] == ["cors-widened"]
    assert [c.kind for c in told(cors(), None)] == ["cors-left"]


def test_how_long_a_browser_remembers_is_not_told() -> None:
    assert told(cors(), cors(max_age_s=61)) == []


def test_compression_beside_secrets_is_weaker_and_any_other_moves_no_trust() -> None:
    bare, secrets = ({"codings": ["gzip"], "with_credentials": it} for it in (False, True))
    for was in (None, bare):
        assert [c.allow for c in told(was, secrets, "compress")] == ["secrets-compressed:shop"]
        assert [c.kind for c in told(secrets, was, "compress")] == ["secrets-not-compressed"]
    assert [(c.kind, c.direction) for c in told(None, bare, "compress")] == [("compression-changed", "neutral")]


def cookies(**more: object) -> dict[str, Any]:
    return {"secure": False, "http_only": False, "same_site": None, "path": None, **more}


@pytest.mark.parametrize("more", [{"secure": True}, {"http_only": True}, {"same_site": "strict"}, {"same_site": "lax"}])
def test_less_of_what_guards_cookies_is_weaker_and_more_is_stronger(more: dict[str, Any]) -> None:
    for bare in (None, cookies(path="/x")):
        guarded = {**(bare or cookies()), **more}
        assert [c.kind for c in told(bare, guarded, "cookies")] == ["cookies-tightened"]
        assert [c.allow for c in told(guarded, bare, "cookies")] == ["cookies-loosened:shop"]


def test_cookies_that_are_sent_with_requests_of_any_page_are_weaker_than_those_that_say_nothing() -> None:
    anywhere = cookies(same_site="none", secure=True)
    assert [c.kind for c in told(cookies(secure=True), anywhere, "cookies")] == ["cookies-loosened"]
    assert [c.kind for c in told(cookies(same_site="strict"), cookies(same_site="lax"), "cookies")] == [
        "cookies-loosened"
    ]
    less_and_more = told(cookies(secure=True), cookies(http_only=True), "cookies")
    assert [c.kind for c in less_and_more] == ["cookies-loosened"], "no more of one is worth less of another"


def test_other_paths_of_cookies_and_what_backends_say_of_themselves_move_no_trust() -> None:
    changes = told(None, cookies(path="/x"), "cookies") + told("keep", "rewrite", "locations")
    assert [(c.kind, c.direction) for c in changes] == [
        ("cookies-changed", "neutral"),
        ("locations-changed", "neutral"),
    ]


def test_what_cookies_and_compression_were_and_are_is_told_with_both() -> None:
    one, other, theirs = cookies(path="/a"), cookies(path="/b"), cookies()
    for was, now, of, to in (
        (one, other, "/a", "/b"),
        (one, theirs, "/a", "the paths that they say"),
        (theirs, one, "the paths that they say", "/a"),
    ):
        (change,) = told(was, now, "cookies")
        assert change.what == f"cookies were for {of}, now for {to}"
    whole = cookies(secure=True, http_only=True, same_site="strict")
    (tight,), (loose,) = told(None, whole, "cookies"), told(whole, None, "cookies")
    all_of_it = "Secure, HttpOnly, SameSite=Strict"
    assert tight.what == f"cookies of backends were given nothing, now {all_of_it}"
    assert loose.what == f"cookies of backends were given {all_of_it}, now nothing"
    bare, secrets = ({"codings": ["gzip"], "with_credentials": it} for it in (False, True))
    (change,) = told(bare, secrets, "compress")
    assert change.what == "answers were compressed with gzip, now with gzip, also for those who are known"


def test_whom_an_answer_may_be_read_by_is_told_with_credentials_where_they_are_sent_and_only_there() -> None:
    (wider,) = told(cors(credentials=False), cors(credentials=True))
    (less,) = told(cors(credentials=True), cors(credentials=False))
    for it, now in ((wider, True), (less, False)):
        was, _, becomes = it.what.partition("now ")
        assert ("with credentials" in was, "with credentials" in becomes) == (not now, now), it.what

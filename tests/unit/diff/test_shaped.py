"""Which pages of other origins may read answers: what lets them do more is a weakening."""

from __future__ import annotations

import json
from typing import Any

import pytest

from everyhop.diff import Change
from tests.unit.diff.test_diff import compare, golden


def told(was: dict[str, Any] | None, now: dict[str, Any] | None, key: str = "cors") -> list[Change]:
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

"""What browsers are told to remember of https: less of any part of it is a weakening."""

from __future__ import annotations

import json
from typing import Any

import pytest

from everyhop.diff import Change
from tests.unit.diff.test_diff import compare, golden

YEAR = 31_536_000


def told(was: dict[str, Any] | None, now: dict[str, Any] | None) -> list[Change]:
    old = golden()
    old["sites"][0]["hsts"] = was
    new = json.loads(json.dumps(old))
    new["sites"][0]["hsts"] = now
    return compare(old, new)


def hsts(max_age_s: int, *, subdomains: bool = False, preload: bool = False) -> dict[str, Any]:
    return {"max_age_s": max_age_s, "subdomains": subdomains, "preload": preload}


@pytest.mark.parametrize(
    ("less", "more"),
    [
        (None, hsts(60)),
        (None, hsts(0)),
        (hsts(60), hsts(61)),
        (hsts(60), hsts(60, subdomains=True)),
        (hsts(YEAR, subdomains=True), hsts(YEAR, subdomains=True, preload=True)),
    ],
)
def test_less_of_it_is_weaker_and_more_is_stronger(less: dict[str, Any] | None, more: dict[str, Any]) -> None:
    assert [c.allow for c in told(more, less)] == ["hsts-lowered:shop"]
    assert [c.kind for c in told(less, more)] == ["hsts-raised"]
    assert told(more, more) == []


def test_more_of_one_part_does_not_hide_less_of_another() -> None:
    (change,) = told(hsts(60, subdomains=True), hsts(YEAR))
    assert (change.kind, change.what) == (
        "hsts-lowered",
        "browsers were told max-age=60; includeSubDomains of https, now max-age=31536000",
    )

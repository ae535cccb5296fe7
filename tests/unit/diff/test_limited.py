"""How many requests of one kind a route takes: whoever may send more is told as weaker, and what a limit is called is silence."""

from __future__ import annotations

import json
from typing import Any

import pytest

from everyhop.diff import Change
from tests.unit.diff.test_diff import compare, golden

ADDRESS = {"kind": "client_address"}


def limit(**more: object) -> dict[str, Any]:
    bare = {"name": "one", "rate": {"count": 100, "per_s": 1, "burst": 200}, "at_once": 20, "by": [ADDRESS]}
    rest = {
        "ipv6_prefix": 64,
        "keys": 1000,
        "mode": "refuse",
        "shared": None,
        "tells": "refusals",
        "x_ratelimit": False,
    }
    return {**bare, **rest, **more}


def told(was: list[dict[str, Any]], now: list[dict[str, Any]]) -> list[Change]:
    old = golden()
    at = next(i for i, route in enumerate(old["routes"]) if route["name"] == "shop")
    old["routes"][at]["way"]["limited_by"] = was
    new = json.loads(json.dumps(old))
    new["routes"][at]["way"]["limited_by"] = now
    return compare(old, new)


@pytest.mark.parametrize(
    "looser",
    [
        [],
        [limit(rate=None)],
        [limit(at_once=None)],
        [limit(at_once=21)],
        [limit(rate={"count": 101, "per_s": 1, "burst": 200})],
        [limit(rate={"count": 100, "per_s": 1, "burst": 201})],
        [limit(mode="observe")],
        [limit(ipv6_prefix=128)],
    ],
)
def test_more_requests_are_weaker_and_fewer_are_stronger(looser: list[dict[str, Any]]) -> None:
    assert [c.allow for c in told([limit()], looser)][:1] == ["limit-loosened:shop"]
    assert {c.kind for c in told(looser, [limit()])} == {"limit-tightened"}


def test_another_key_is_both_since_nobody_can_say_which_lets_more_pass() -> None:
    changes = told([limit()], [limit(by=[{"kind": "host"}])])
    assert [c.kind for c in changes] == ["limit-loosened", "limit-tightened"]


def test_names_order_and_what_is_told_of_it_are_silence() -> None:
    one, two = limit(), limit(name="two", by=[{"kind": "host"}])
    renamed = limit(name="other", keys=2000, tells="answers", x_ratelimit=True)
    assert told([one, two], [two, renamed]) == []
    per_minute = limit(rate={"count": 6000, "per_s": 60, "burst": 200})
    assert told([one], [per_minute]) == []
    hosts = limit(by=[{"kind": "host"}])
    assert told([hosts], [{**hosts, "ipv6_prefix": 128}]) == [], "no address is counted by"


def test_a_limit_that_another_one_holds_already_is_silence() -> None:
    strict = limit(at_once=5)
    assert told([strict, limit()], [strict]) == []
    assert told([strict], [strict, limit()]) == []

"""Proxies in front that are believed for where they are, for what they prove, or for both: each way of asking less is weaker."""

from __future__ import annotations

from pathlib import Path

import pytest

from everyhop.diff import compare
from everyhop.plan import Plan, read_plan

GOLDEN = Path(__file__).parents[3] / "schema" / "golden" / "everything.json"
NEAR, WIDE, EDGE, OTHER = "10.8.0.0/16", "10.0.0.0/8", "edge.internal", "other.internal"


def plan(networks: list[str], clients: list[str]) -> Plan:
    it = read_plan(GOLDEN.read_text().strip())
    first, *others = it.listeners
    own = {
        "trusted_proxies": networks,
        "trusted_clients": clients,
        "believe": ["address"] if networks or clients else [],
    }
    return it.model_copy(update={"listeners": [first.model_copy(update=own), *others]})


@pytest.mark.parametrize(
    ("was", "now", "told"),
    [
        (([], []), ([], [EDGE]), [f"X-Forwarded-For of whoever proves to be {EDGE} is believed"]),
        (([], []), ([NEAR], [EDGE]), [f"X-Forwarded-For of {NEAR}, proved to be {EDGE} is believed"]),
        (([], [EDGE]), ([], [EDGE, OTHER]), [f"X-Forwarded-For of {OTHER} is believed"]),
        (([NEAR], [EDGE]), ([NEAR], []), ["X-Forwarded-For of whoever proves nothing is believed, too"]),
        (([NEAR], [EDGE]), ([], [EDGE]), ["X-Forwarded-For of who is elsewhere is believed, too"]),
        (([NEAR], [EDGE]), ([NEAR, "10.9.0.0/16"], [EDGE]), ["X-Forwarded-For of 10.9.0.0/16 is believed"]),
    ],
)
def test_whose_word_is_believed_is_told_and_its_way_back_is_stronger(
    was: tuple[list[str], list[str]], now: tuple[list[str], list[str]], told: list[str]
) -> None:
    there, back = compare(plan(*was), plan(*now)), compare(plan(*now), plan(*was))
    assert [(c.kind, c.direction, c.what) for c in there] == [("trusted-widened", "weaker", what) for what in told]
    assert [(c.kind, c.direction) for c in back] == [("trusted-narrowed", "stronger")] * len(told)


def test_a_name_for_another_is_both_and_so_are_networks_for_names() -> None:
    for was, now in ((([], [EDGE]), ([], [OTHER])), (([NEAR], []), ([], [EDGE]))):
        found = compare(plan(*was), plan(*now))
        assert sorted(c.kind for c in found) == ["trusted-narrowed", "trusted-widened"]
    assert compare(plan([NEAR], [EDGE]), plan([NEAR], [EDGE])) == []

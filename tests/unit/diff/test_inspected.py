"""Rules that requests are inspected by: whatever lets a request pass that they denied is refused until somebody allows it."""

from __future__ import annotations

import pytest

from everyhop.diff import compare
from everyhop.plan import Plan
from tests.unit.diff.test_gate import plan, refused, route, told

INSPECTED = 'waf = "crs"\n'
PASSES = 'when_down = "pass"\npass_acceptance = { owner = "%s", why = "w", since = 2026-11-01, until = %s }\n'


def waf(more: str = "", name: str = "crs") -> str:
    return f'[[waf]]\nname = "{name}"\n{more}'


def by(more: str = "") -> Plan:
    return plan(route("r", more=INSPECTED), more=waf(more))


def passes(owner: str = "o", until: str = "2027-02-01") -> str:
    return PASSES % (owner, until)


def left_out(*of: str, owner: str = "o", until: str = "2027-02-01") -> str:
    word = f'owner = "{owner}", why = "w", since = 2026-11-01, until = {until}'
    return f"exclude = [{', '.join(f'{{ {it}, {word} }}' for it in of)}]\n"


NONE, ONE = plan(route("r")), by()


def test_requests_that_are_inspected_no_more_are_weaker_and_those_that_are_now_stronger() -> None:
    assert refused(ONE, NONE) == {"inspection-ended:r"}
    assert refused(NONE, ONE) == set() and told(NONE, ONE, "inspection-begun")


def test_rules_that_only_detect_refuse_nothing() -> None:
    detects = by('mode = "detect"\n')
    assert refused(ONE, detects) == {"inspection-ended:r"}
    assert refused(detects, ONE) == set() and told(detects, ONE, "inspection-begun")
    assert (
        compare(NONE, detects)
        == []
        == compare(detects, NONE)
        == compare(detects, by('mode = "detect"\nparanoia = 3\n'))
    )


def test_a_name_alone_is_nothing() -> None:
    assert compare(ONE, plan(route("r", more='waf = "other"\n'), more=waf(name="other"))) == []
    assert compare(NONE, plan(route("r"), more=waf())) == []


PARTLY = 'over_body = "pass-inspected"\n'
LONGER = "a body that is longer than what is inspected"


@pytest.mark.parametrize(
    ("weaker", "stronger", "what", "so"),
    [
        ("", "paranoia = 2\n", "the rules were asked at paranoia level 2, now at 1", "attacks pass that only the higher level finds"),
        (PARTLY, "", f"{LONGER} goes on", "what stands behind its beginning is seen by no rule"),
        (f"{PARTLY}body_bytes = 4096\n", f"{PARTLY}body_bytes = 8192\n", "8192 bytes of a body were inspected, now 4096", "less is seen"),
        ("body_bytes = 8192\n", "body_bytes = 4096\n", "4096 bytes of a body were inspected, now 8192", "an attack has more room"),
    ],
    ids=["level", "behind the beginning", "how much of the beginning", "how long a body may be"],
)  # fmt: skip
def test_less_that_is_inspected_is_weaker(weaker: str, stronger: str, what: str, so: str) -> None:
    a, b = by(stronger), by(weaker)
    assert refused(a, b) == {"inspection-weakened:waf/crs"}
    (change,) = compare(a, b)
    assert (change.what, change.so) == (what, so)
    assert refused(b, a) == set() and told(b, a, "inspection-strengthened")


@pytest.mark.parametrize(
    ("weaker", "stronger", "what", "so"),
    [
        (PARTLY, "", f"{LONGER} is refused", "long bodies get 413"),
        (f"{PARTLY}body_bytes = 4096\n", f"{PARTLY}body_bytes = 8192\n", "4096 bytes of a body were inspected, now 8192", "more is seen"),
        ("body_bytes = 8192\n", "body_bytes = 4096\n", "8192 bytes of a body were inspected, now 4096", "an attack has less room"),
    ],
)  # fmt: skip
def test_more_that_is_inspected_is_told_by_what_it_takes_from_attacks(
    weaker: str, stronger: str, what: str, so: str
) -> None:
    (change,) = compare(by(weaker), by(stronger))
    assert (change.what, change.so) == (what, so)


def test_other_files_of_rules_may_take_others_back() -> None:
    for a, b in (
        ("", 'extra = ["own.conf"]\n'),
        ('extra = ["own.conf"]\n', ""),
        ('extra = ["a"]\n', 'extra = ["b"]\n'),
    ):
        assert refused(by(a), by(b)) == {"inspection-changed:waf/crs"}
    assert compare(by('extra = ["a", "b"]\n'), by('extra = ["b", "a"]\n')) == []


def test_a_rule_that_is_left_out_is_somebodys_word() -> None:
    wide, narrow = left_out("rule = 942100"), left_out('rule = 942100, path = "/search"')
    assert refused(ONE, by(wide)) == {"exclusion-added:waf/crs"}
    assert refused(by(wide), ONE) == set() and told(by(wide), ONE, "exclusion-gone")
    assert refused(by(narrow), by(wide)) == {"exclusion-added:waf/crs"}
    assert refused(NONE, by(wide)) == {"exclusion-added:waf/crs"}, "also where rules are new"
    longer, other = left_out("rule = 942100", until="2027-03-01"), left_out("rule = 942100", owner="p")
    assert refused(by(wide), by(longer)) == {"acceptance-lengthened:waf/crs"}
    assert refused(by(longer), by(wide)) == set() and told(by(longer), by(wide), "acceptance-shortened")
    assert refused(by(wide), by(other)) == set() and told(by(wide), by(other), "acceptance-owner-changed")


def test_what_passes_uninspected_is_somebodys_word() -> None:
    passing, longer = by(passes()), by(passes(until="2027-03-01"))
    assert refused(ONE, passing) == {"acceptance-added:waf/crs"} == refused(NONE, passing)
    assert refused(passing, ONE) == set() and told(passing, ONE, "acceptance-gone")
    assert refused(passing, longer) == {"acceptance-lengthened:waf/crs"}
    assert refused(longer, passing) == set() and told(longer, passing, "acceptance-shortened")
    other = by(passes(owner="p"))
    assert refused(passing, other) == set() and told(passing, other, "acceptance-owner-changed")


def test_patience_is_no_trust() -> None:
    assert compare(ONE, by("deadline_ms = 5000\nat_once = 7\n")) == []

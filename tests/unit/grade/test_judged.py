"""The grade, of servers as they are described: what counts for which policy, and how those hang together."""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from pathlib import Path

import pytest

from everyhop.compile.policies import DATED, TLS12, TLS13, policy
from everyhop.grade import ALL, Hsts, Offered, Shown, judged
from everyhop.grade.judged import KINDS, MODERN, UNBELIEVED, kind_of
from everyhop.grade.shown import shown
from everyhop.grade.trying import IANA

NOW = dt.datetime(2026, 11, 28, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
SECOND = dt.timedelta(seconds=1)
ROOT = Path(__file__).parents[3]
LEAF = Shown(
    "00", "CN=a", "CN=b", ("a.test",), "ECDSA", "secp256r1", NOW - 30 * DAY, NOW + 60 * DAY, False, "ok", None, None
)
GOOD = Offered(
    "127.0.0.1:1",
    "a.test",
    ("1.3",),
    tuple(TLS13),
    ("X25519MLKEM768", "X25519"),
    False,
    (LEAF,),
    Hsts("not-asked", "no"),
    (),
)


def ids(it: Offered) -> list[str]:
    return [finding.id for finding in judged(it, NOW).findings]


@pytest.mark.parametrize("name", ALL)
def test_what_offers_just_a_policy_satisfies_it(name: str) -> None:
    of = policy(name)
    it = dataclasses.replace(
        GOOD, versions=tuple(reversed(of.versions)), suites=tuple(of.suites), groups=tuple(of.groups)
    )
    assert name in judged(it, NOW).satisfies


def test_the_suites_of_policies_have_a_name_of_openssl_each() -> None:
    assert set(IANA.values()) == set(TLS12) and all(kind_of(it) is None for it in TLS12 + TLS13)


def test_what_is_below_intermediate_is_below_modern_of_the_same_version() -> None:
    worst = Offered(
        "127.0.0.1:1",
        "a.test",
        ("1.2", "1.0"),
        ("NULL-SHA", "ADH-AES128-SHA", "AES128-SHA", "ECDHE-RSA-AES128-SHA", "DHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-CCM"),
        ("secp192r1",),
        True,
        (dataclasses.replace(LEAF, verified="no", why="hop/untrusted", ends=NOW + 400 * DAY), dataclasses.replace(LEAF, kind="DSA")),
        Hsts("not-said", ""),
        (),
    )  # fmt: skip
    grade = judged(worst, NOW)
    assert (grade.word, grade.policy, grade.satisfies) == ("below", None, ())
    assert {it.id for it in grade.findings} > set(KINDS)
    for finding in grade.findings:
        for name in finding.fails:
            word, of = DATED[name]
            assert word == "modern" or f"modern-{of.version}" in finding.fails, finding


def test_a_word_takes_any_of_its_versions_and_a_dated_name_that_one() -> None:
    old = judged(dataclasses.replace(GOOD, versions=("1.3", "1.2"), groups=("X25519",)), NOW)
    assert (old.word, old.policy) == ("intermediate", "intermediate-5.7")
    wanted = ["intermediate", "intermediate-5.7", "intermediate-5.8", "intermediate-6.0", "modern", "modern-5.7"]
    assert [old.is_at_least(it) for it in wanted] == [True, True, False, False, False, False]
    best = judged(GOOD, NOW)
    assert best.findings == () and all(best.is_at_least(it) for it in ("modern", "intermediate", *ALL))


def test_a_server_whose_certificate_cannot_be_read_is_below() -> None:
    assert shown([b"no certificate"], "ok", None, ()) is None
    it = dataclasses.replace(GOOD, shown=())
    assert ids(it) == ["certificate-unread"] and judged(it, NOW).word == "below"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "RSA", "size": "2048"}, ["key-of-rsa"]),
        ({"kind": "RSA", "size": "2047"}, ["short-key"]),
        ({"kind": "RSA", "size": "2047", "verified": "an RSA key of 2047 bits", "why": "hop/weak-key"}, ["not-verified"]),
        ({"kind": "ECDSA", "size": "secp384r1"}, []),
        ({"kind": "ECDSA", "size": "secp521r1"}, ["key-of-another-kind"]),
        ({"kind": "Ed25519", "size": ""}, ["key-of-another-kind"]),
        ({"begins": NOW - 30 * DAY - dt.timedelta(hours=23)}, []),
        ({"begins": NOW - 31 * DAY}, ["lasts-long"]),
        ({"begins": NOW - 70 * DAY, "ends": NOW + 20 * DAY}, ["ends-soon"]),
        ({"begins": NOW - 67 * DAY, "ends": NOW + 23 * DAY}, []),
        ({"begins": NOW - 5 * DAY, "ends": NOW + 1.5 * DAY}, ["ends-soon"]),
        ({"begins": NOW - 3 * DAY, "ends": NOW + 3 * DAY}, []),
        ({"begins": NOW - 90 * DAY, "ends": NOW, "verified": "over", "why": "hop/certificate-expired"}, ["not-verified"]),
        ({"verified": "x", "why": "hop/pin-mismatch"}, ["not-verified"]),
        ({"begins": NOW - 330 * DAY, "ends": NOW + 30 * DAY}, ["lasts-long", "ends-soon"]),
        ({"begins": NOW - 330 * DAY, "ends": NOW + 30 * DAY + SECOND}, ["lasts-long"]),
        ({"begins": NOW - 400 * DAY}, ["lasts-long"]),
    ],
)  # fmt: skip
def test_a_certificate_is_told_by_its_kind_its_life_and_what_was_said_of_it(
    change: dict[str, object], said: list[str]
) -> None:
    assert ids(dataclasses.replace(GOOD, shown=(dataclasses.replace(LEAF, **change),))) == said  # type: ignore[arg-type]


@pytest.mark.parametrize("why", [*UNBELIEVED, "hop/another", None])
def test_why_a_certificate_is_not_believed_is_told_with_its_own_mend(why: str | None) -> None:
    it = dataclasses.replace(LEAF, verified="no", why=why)
    (found,) = judged(dataclasses.replace(GOOD, shown=(it,)), NOW).findings
    otherwise: dict[str | None, tuple[str, str]] = {
        "hop/another": ("{whose} is not believed: no", "everyhop explain hop/another"),
        None: ("{whose} could not be judged: no", "turn on TLS 1.2 or newer, with suites of ECDHE"),
    }
    what, mend = UNBELIEVED.get(why or "") or otherwise[why]
    assert found.what == what.format(whose=f"its certificate ({it.key})", name="a.test", verified="no")
    assert found.mend == mend


@pytest.mark.parametrize(("days", "fails"), [(90, ()), (91, MODERN), (366, MODERN), (367, ALL)])
def test_a_long_life_keeps_from_modern_and_a_longer_one_from_every_policy(days: int, fails: tuple[str, ...]) -> None:
    leaf = dataclasses.replace(LEAF, begins=NOW + 60 * DAY - days * DAY)
    assert [it.fails for it in judged(dataclasses.replace(GOOD, shown=(leaf,)), NOW).findings] == (
        [fails] if fails else []
    )


def test_the_newest_policy_that_is_satisfied_is_named() -> None:
    assert judged(GOOD, NOW).policy == "modern-6.0"
    older = judged(dataclasses.replace(GOOD, versions=("1.3", "1.2")), NOW)
    assert (older.word, older.policy) == ("intermediate", "intermediate-6.0")


@pytest.mark.parametrize(
    ("suite", "kind", "satisfied"),
    [
        ("DHE-RSA-AES128-GCM-SHA256", "dhe", "intermediate-5.7"),
        ("DHE-RSA-AES128-CCM", "other-suite", None),
        ("ECDHE-RSA-AES128-SHA", "not-authenticated", None),
    ],
)
def test_suites_of_dhe_keep_from_the_policies_since_5_8_and_others_from_all(
    suite: str, kind: str, satisfied: str | None
) -> None:
    it = dataclasses.replace(GOOD, versions=("1.3", "1.2"), suites=(*TLS13, suite))
    assert kind_of(suite) == kind and kind in ids(it)
    assert judged(it, NOW).policy == satisfied


def test_four_suites_of_a_kind_are_named_and_of_more_how_many() -> None:
    for count, told in ((5, "AES-0, AES-1, AES-2, AES-3, AES-4"), (6, "AES-0, AES-1, AES-2, AES-3 and 2 more")):
        it = dataclasses.replace(GOOD, suites=tuple(f"AES-{n}" for n in range(count)))
        (found,) = judged(it, NOW).findings
        assert found.what == f"it takes suites without forward secrecy: {told}"


@pytest.mark.parametrize(("seconds", "said"), [(63_071_999, ["short-hsts"]), (63_072_000, []), (63_072_001, [])])
def test_hsts_is_short_below_two_years(seconds: int, said: list[str]) -> None:
    assert ids(dataclasses.replace(GOOD, hsts=Hsts("said", "max-age", seconds))) == said


def test_what_is_not_believed_and_what_could_not_be_judged_are_said_as_that() -> None:
    def told(why: str | None) -> tuple[str, str]:
        leaf = dataclasses.replace(LEAF, verified="so it is", why=why)
        (found,) = judged(dataclasses.replace(GOOD, shown=(leaf,)), NOW).findings
        return found.what, found.mend

    whose = "its certificate (ECDSA secp256r1)"
    assert told("hop/revoked") == (f"{whose} is not believed: so it is", "everyhop explain hop/revoked")
    unjudged = "turn on TLS 1.2 or newer, with suites of ECDHE"
    assert told(None) == (f"{whose} could not be judged: so it is", unjudged)


def test_every_reason_stands_in_the_page_on_grades_and_no_other() -> None:
    source = (ROOT / "python/everyhop/grade/judged.py").read_text()
    page = (ROOT / "docs/how-to/grade-a-server.md").read_text()
    told = set(re.findall(r"^\| `([a-z0-9.-]+)` \|", page, re.M))
    assert told == set(re.findall(r'Finding\(\s*"([^"]+)"', source)) | set(KINDS)

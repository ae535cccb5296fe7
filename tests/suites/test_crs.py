"""The rule set's own regression cases, through the edge's reader and the inspector; all of them by `make waf-conformance`."""

from __future__ import annotations

import pytest

from tests.kit.inspector import built
from tests.suites.crs.cases import every, sample
from tests.suites.crs.report import exceptions, run


def test_five_hundred_cases_of_the_rule_set_end_as_its_authors_want_or_say_why_not() -> None:
    built()
    cases = every()
    names = {it.name for it in cases}
    assert len(cases) > 4600 and len(names) == len(cases)
    assert set().union(*exceptions().values()) <= names, "an exception is of a case that there is not"
    asked = sample(cases, 500)
    report = run(asked)
    assert report.inspected + len(report.refused) == 500
    assert not report.unexplained({it.name for it in asked}), "\n".join(report.told())
    assert report.good >= 0.995 * report.inspected, "\n".join(report.told())


def test_a_case_that_the_inspector_would_miss_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    built()
    case = next(it for it in every() if it.name == "942100-1")
    monkeypatch.setitem(case.stages[0].wanted["log"], "expect_ids", [942100, 999_999])
    report = run([case])
    assert list(report.bad) == ["942100-1"] and report.unexplained({"942100-1"})

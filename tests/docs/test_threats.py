"""The table of threats is held to the tests: neither can lack the other."""

from __future__ import annotations

import pytest

from tests.threats.catalogue import CATALOGUE, Row
from tools import threats

BUILT, UNBUILT = Row("sent", "outcome", "-"), Row("sent", "outcome", "-", "a feature")
TEST = [("tests/test_x.py", "test_it_holds")]


def test_a_row_without_a_test_fails_the_build_unless_its_feature_is_not_there() -> None:
    threats.judge({"T01": BUILT, "J01": UNBUILT}, {"T01": TEST})
    with pytest.raises(threats.Untested, match="no test names T01"):
        threats.judge({"T01": BUILT}, {})


def test_a_test_of_a_row_that_there_is_not_fails_the_build() -> None:
    with pytest.raises(threats.Untested, match="no T99, which test_it_holds names"):
        threats.judge({"T01": BUILT}, {"T01": TEST, "T99": TEST})


def test_a_docstring_names_rows_one_by_one_and_as_spans() -> None:
    assert threats.named("H01 to H03, H09 and X01. Nothing else: TLS 1.3.") == {"H01", "H02", "H03", "H09", "X01"}


def test_every_row_that_is_built_is_tested_and_none_is_in_two_groups() -> None:
    rows = [row for group in CATALOGUE.values() for row in group]
    assert len(rows) == len(set(rows))
    threats.judge({row: it for group in CATALOGUE.values() for row, it in group.items()}, threats.tests_by_row())

"""A new root in three steps: nobody is left behind unseen, and what is retired signs nothing any more."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace

import pytest

from everyhop.authority import Authority, activate, opened, prepare, retire
from everyhop.authority.names import named
from everyhop.errors import Declined, Misuse
from tests.unit.authority.conftest import PASSPHRASE

Own = Callable[..., Authority]
DAY = dt.timedelta(days=1)


def hosts(*numbers: int) -> list[list[str]]:
    return [[f"h{n}.corp.example"] for n in numbers]


def issue(it: Authority, *numbers: int) -> None:
    for host in hosts(*numbers):
        it.issue([named(it) for it in host], "both", DAY)


def test_who_would_be_refused_by_a_retired_root_is_named_with_who_has_another_certificate_last(own: Own) -> None:
    it = own()
    issue(it, 1, 2)
    it = activate(prepare(it, PASSPHRASE))
    issue(it, 1)
    with pytest.raises(Declined) as e:
        retire(it)
    assert str(e.value).startswith("2 certificate(s) of the old authority are in force")
    first, second, mend = e.value.more
    assert first.endswith("  h2.corp.example") and second.endswith("  h1.corp.example, issued anew since")
    assert mend.endswith("--force") and opened(it.at).trusted == (1, 2)


@pytest.mark.parametrize(("count", "shown", "more"), [(10, 10, []), (11, 10, ["  and 1 more"]), (13, 10, ["  and 3 more"])])  # fmt: skip
def test_ten_of_them_are_named_and_the_rest_counted(own: Own, count: int, shown: int, more: list[str]) -> None:
    it = own()
    issue(it, *range(count))
    it = activate(prepare(it, PASSPHRASE))
    with pytest.raises(Declined) as e:
        retire(it)
    rows = e.value.more
    assert [len([row for row in rows if "until" in row]), [row for row in rows if row.startswith("  and ")]] == [
        shown,
        more,
    ]


def test_what_is_retired_has_no_key_to_issue_by_and_can_be_retired_where_that_is_gone_already(own: Own) -> None:
    """K03: nobody who comes to read that folder later can sign by it."""
    for lost in (False, True):
        it = activate(prepare(own(folder=f"ca-{lost}"), PASSPHRASE))
        keys = [it.at / str(n) / "issuing.key" for n in (1, 2)]
        if lost:
            keys[0].unlink()
        retire(it)
        assert [key.exists() for key in keys] == [False, True]


def test_each_step_is_taken_once_and_in_order(own: Own) -> None:
    it = own()
    with pytest.raises(Misuse, match="no rotation is under way"):
        activate(it)
    with pytest.raises(Misuse, match="nothing is there but what issues"):
        retire(it)
    it = prepare(it, PASSPHRASE)
    assert (it.active, it.trusted) == (1, (1, 2))
    with pytest.raises(Misuse, match="a rotation is under way already"):
        prepare(it, PASSPHRASE)
    with pytest.raises(Misuse, match="the new authority does not issue yet"):
        retire(it)
    it = activate(it)
    assert (it.active, it.trusted) == (2, (1, 2))
    it, gone, alive = retire(it)
    assert (it.active, it.trusted, gone, alive) == (2, (2,), [1], []) and opened(it.at) == replace(it)
    # A number is given once, also where the folder of one before is gone.
    assert prepare(it, PASSPHRASE).trusted == (2, 3)

"""What is said of an acceptance that changes, and of the addresses that a listener leaves or takes."""

from __future__ import annotations

import pytest

from everyhop.diff.address import meet
from tests.unit.diff.test_gate import open_, plan, refused, told


def test_who_answers_for_plaintext_is_told_when_it_is_somebody_else_and_only_then() -> None:
    old = plan(open_("r"))
    new = plan(open_("r").replace('owner = "o"', 'owner = "p"'))
    (change,) = told(old, new, "acceptance-owner-changed")
    assert change.what == "p answers for the plaintext to 10.0.0.1:1, o did"
    for other in (open_("r"), open_("r", until="2027-02-01")):
        assert told(old, plan(other), "acceptance-owner-changed") == []


def test_the_days_of_an_acceptance_are_told_as_the_file_has_them() -> None:
    old, new = plan(open_("r", until="2027-02-01")), plan(open_("r", until="2027-03-01"))
    (longer,) = told(old, new, "acceptance-lengthened")
    assert longer.what == "plaintext to 10.0.0.1:1 was accepted until 2027-02-01, now until 2027-03-01"
    assert refused(old, new) == {longer.allow}
    (shorter,) = told(new, old, "acceptance-shortened")
    assert "2027-03-01, now until 2027-02-01" in shorter.what and refused(new, old) == set()


@pytest.mark.parametrize("new", ["10.0.0.1:1", "10.0.0.3:1"])
def test_an_address_that_is_accepted_anew_hides_no_longer_time_of_another(new: str) -> None:
    old = plan(open_("r", to='"10.0.0.2:1"', until="2027-02-01"))
    both = plan(open_("r", to=f'"{new}", "10.0.0.2:1"', until="2027-03-01"))
    assert refused(old, both) == {"acceptance-widened:r", "acceptance-lengthened:r"}
    (wider,) = told(old, both, "acceptance-widened")
    assert wider.what == f"o accepts plaintext to {new} until 2027-03-01"


@pytest.mark.parametrize(
    ("a", "b", "met"),
    [
        ("10.0.0.1:443", "10.0.0.1:443", True),
        ("10.0.0.1:443", "10.0.0.2:443", False),
        ("10.0.0.1:443", "10.0.0.1:444", False),
        ("0.0.0.0:443", "10.0.0.1:443", True),
        ("0.0.0.0:443", "10.0.0.1:444", False),
        ("0.0.0.0:443", "[fd00::1]:443", False),
        ("[::]:443", "[fd00::1]:443", True),
        ("[::]:443", "10.0.0.1:443", True),
        ("[::]:443", "0.0.0.0:443", True),
        ("[fd00::1]:443", "10.0.0.1:443", False),
    ],
)
def test_two_addresses_meet_where_one_connection_could_come_to_either(a: str, b: str, met: bool) -> None:
    assert meet(a, b) == meet(b, a) == met

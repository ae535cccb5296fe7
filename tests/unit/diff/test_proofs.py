"""What is said when backends are known by something else, can be revoked or not, or need not ask who we are any more."""

from __future__ import annotations

import pytest

from everyhop.diff import compare
from everyhop.plan import Plan
from tests.unit.diff.test_gate import VERIFY, plan, refused, route, told

ONE, TWO = ("sha256:" + digit * 64 for digit in "12")


def by(verify: str, *, to: str = '"10.0.0.1:1"') -> Plan:
    """A reencrypt route that verifies so."""
    return plan(route("r", "reencrypt", to=to).replace(VERIFY, f"verify = {{ {verify} }}\n"))


ROOTS = 'ca = "c", name = "n"'


@pytest.mark.parametrize(
    ("was", "now"),
    [
        (ROOTS, f'pin = "{ONE}"'),
        (f'pin = "{ONE}"', ROOTS),
        (f'pin = "{ONE}"', f'pin = "{TWO}"'),
        (f'pin = "{ONE}"', f'pin = ["{ONE}", "{TWO}"]'),
        (f'pin = "{ONE}", name = "n"', f'pin = "{ONE}"'),
        (f'pin = "{ONE}"', f'pin = "{ONE}", name = "n"'),
    ],
)
def test_another_way_to_know_a_backend_has_to_be_allowed(was: str, now: str) -> None:
    assert refused(by(was), by(now)) == {"verification-changed:r"}


def test_pins_in_another_order_or_spelling_are_the_same() -> None:
    colons = "sha256:" + ":".join(["22"] * 32)
    assert compare(by(f'pin = ["{ONE}", "{TWO}"]'), by(f'pin = ["{colons}", "{ONE}", "{ONE}"]')) == []


def test_a_pin_is_told_by_its_first_digits() -> None:
    (change,) = told(by(ROOTS), by(f'pin = "{ONE}"'), "verification-changed")
    assert change.what == f"10.0.0.1:1 had to be n by c, now by sha256:{'1' * 16}..."


LISTED = ROOTS + ', crl = "l"'


def test_a_backend_that_can_be_revoked_no_more_is_weaker_and_one_that_can_be_now_is_stronger() -> None:
    assert refused(by(LISTED), by(ROOTS)) == {"revocation-weakened:r"}
    (weaker,), (stronger,) = compare(by(LISTED), by(ROOTS)), compare(by(ROOTS), by(LISTED))
    assert stronger.kind == "revocation-strengthened"
    known = "whether 10.0.0.1:1 was revoked was known by"
    assert (weaker.what, stronger.what) == (f"{known} crl/l, now by no list", f"{known} no list, now by crl/l")
    assert refused(by(LISTED), by(ROOTS + ', crl = "other"')) == {"revocation-weakened:r"}


def test_an_overdue_list_that_still_holds_is_weaker_where_there_is_one() -> None:
    stale = ', stale_crl = "allow"'
    assert refused(by(LISTED), by(LISTED + stale)) == {"revocation-weakened:r"}
    (weaker,), (stronger,) = compare(by(LISTED), by(LISTED + stale)), compare(by(LISTED + stale), by(LISTED))
    assert stronger.kind == "revocation-strengthened"
    assert weaker.what == "an overdue revocation list still holds for 10.0.0.1:1"
    assert stronger.what == "an overdue revocation list lets nobody be taken for 10.0.0.1:1"
    assert compare(by(ROOTS), by(ROOTS + stale)) == []


def test_lists_that_are_fetched_now_have_moved_and_whatever_else_goes_with_them_is_told_too() -> None:
    url = ROOTS + ', crl = "https://lists.test/l.crl"'
    (moved,) = compare(by(LISTED), by(url))
    assert (moved.kind, moved.direction) == ("revocation-moved", "neutral")
    assert moved.what == "whether 10.0.0.1:1 was revoked was known by crl/l, now by crl/https://lists.test/l.crl"
    assert [c.kind for c in compare(by(url), by(url.replace("l.crl", "m.crl")))] == ["revocation-moved"]
    assert [c.kind for c in compare(by(ROOTS), by(url))] == ["revocation-strengthened"]
    # A file is what somebody puts there; who is believed by other roots is another matter altogether.
    assert refused(by(url), by(LISTED)) == {"revocation-weakened:r"}
    assert refused(by(url), by(ROOTS)) == {"revocation-weakened:r"}
    assert refused(by(LISTED), by(url + ', stale_crl = "allow"')) == {"revocation-weakened:r"}
    assert "revocation-weakened:r" in refused(by(LISTED), by(url.replace('ca = "c"', 'ca = "d"')))


def test_a_new_backend_that_nobody_could_revoke_is_weaker_where_all_could_be() -> None:
    more = f'"10.0.0.1:1", {{ at = "10.0.0.2:1", verify = {{ {ROOTS} }} }}'
    assert refused(by(LISTED), by(LISTED, to=more)) == {"revocation-weakened:r"}
    assert "revocation-weakened:r" not in refused(by(ROOTS), by(ROOTS, to=more))


ASKS = "demand_asks = true\n"


def test_a_backend_that_need_not_ask_any_more_is_weaker_and_one_that_must_now_is_stronger() -> None:
    must, need_not = plan(route("r", more=ASKS)), plan(route("r"))
    assert refused(must, need_not) == {"asking-demand-weakened:r"}
    (weaker,), (stronger,) = compare(must, need_not), compare(need_not, must)
    assert stronger.kind == "asking-demand-strengthened"
    assert weaker.what == "10.0.0.1:1 need not ask for our certificate to be sent requests"
    assert stronger.what == "10.0.0.1:1 must ask for our certificate to be sent requests"


def test_taking_back_what_the_data_demands_is_weaker_and_so_is_saying_less_of_the_data() -> None:
    data = 'data = "major-incident"\n'
    demanded = plan(route("r", more=data))
    assert refused(demanded, plan(route("r", more=data + "demand_asks = false\n"))) == {"asking-demand-weakened:r"}
    assert "asking-demand-weakened:r" in refused(demanded, plan(route("r", more='data = "internal"\n')))
    assert compare(demanded, plan(route("r", more=data + ASKS))) == []


def test_a_new_backend_that_need_not_ask_is_weaker_where_all_had_to() -> None:
    more = '"10.0.0.1:1", { at = "10.0.0.2:1", demand_asks = false }'
    assert refused(plan(route("r", more=ASKS)), plan(route("r", more=ASKS, to=more))) == {"asking-demand-weakened:r"}
    assert "asking-demand-weakened:r" not in refused(plan(route("r")), plan(route("r", to=more)))


def test_a_hop_that_becomes_mutual_is_stronger_whether_or_not_it_must_ask() -> None:
    for more in ("", ASKS):
        assert refused(plan(route("r", "reencrypt")), plan(route("r", more=more))) == set()

"""Backends that are known by their SPIFFE ID. One workload in the place of a whole trust domain is fewer that it may be; all else is
another proof, which has to be allowed."""

from __future__ import annotations

import pytest

from everyhop.diff import compare
from tests.unit.diff.test_gate import plan, refused, route, told
from tests.unit.diff.test_proofs import by

WHOLE, ONE, OTHER, ELSEWHERE = (f"spiffe://{it}" for it in ("td/*", "td/a", "td/ab", "td2/a"))


def known(id_: str, more: str = "", ca: str = "c") -> str:
    return f'ca = "{ca}", spiffe = "{id_}"{more}'


NAMED = ', name = "n"'


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        (known(WHOLE), known(ONE), f"had to be {WHOLE} by c, now {ONE} by c"),
        (known(WHOLE), known(ONE, NAMED), f"had to be {WHOLE} by c, now {ONE} and n by c"),
        (known(WHOLE, NAMED), known(ONE, NAMED), f"had to be {WHOLE} and n by c, now {ONE} and n by c"),
        (known(WHOLE), known(WHOLE, NAMED), f"had to be {WHOLE} by c, now {WHOLE} and n by c"),
    ],
)
def test_fewer_of_a_trust_domain_that_a_backend_may_be_are_told_and_need_nobodys_word(
    was: str, now: str, said: str
) -> None:
    (change,) = compare(by(was), by(now))
    assert (change.kind, change.direction, change.what) == ("verification-narrowed", "stronger", f"10.0.0.1:1 {said}")
    assert refused(by(now), by(was)) == {"verification-changed:r"}, "and back it is a weakening"


@pytest.mark.parametrize(
    ("was", "now"),
    [
        (known(WHOLE, NAMED), known(ONE)),
        (known(WHOLE, NAMED), known(ONE, ', name = "m"')),
        (known(WHOLE), known(ONE, ca="d")),
        (known(WHOLE), known(ELSEWHERE)),
        (known(ONE), known(OTHER)),
        (known(ONE), known(WHOLE)),
        (known(WHOLE), 'ca = "c", name = "n"'),
        ('ca = "c", name = "n"', known(ONE)),
        (known(WHOLE), f'pin = "sha256:{"1" * 64}"'),
        (f'pin = "sha256:{"1" * 64}"', known(ONE)),
    ],
)
def test_another_workload_root_name_or_way_to_know_it_is_no_narrowing(was: str, now: str) -> None:
    assert refused(by(was), by(now)) == {"verification-changed:r"}


def two(first: str, second: str) -> str:
    return f'{{ at = "10.0.0.1:1", verify = {{ {first} }} }}, {{ at = "10.0.0.2:1", verify = {{ {second} }} }}'


@pytest.mark.parametrize("first", [known(WHOLE), known(ONE)])
def test_whatever_is_said_of_the_first_backend_the_second_is_looked_at_too(first: str) -> None:
    old, new = (by(known(WHOLE), to=two(*each)) for each in ((known(WHOLE), known(WHOLE)), (first, known(ELSEWHERE))))
    (change,) = told(old, new, "verification-changed")
    assert change.what.startswith("10.0.0.2:1 had to be ")


def test_one_more_backend_that_proves_to_be_the_same_workload_is_known_by_what_the_route_knew() -> None:
    """The name that TLS asks for is that of the address, where none is verified."""
    for same in (known(ONE), f'pin = "sha256:{"1" * 64}"'):
        more = '"10.0.0.1:1", "10.0.0.2:1"'
        assert told(by(same), by(same, to=more), "verification-changed") == []
        named = f"{same}{NAMED}"
        assert told(by(named), by(named, to=more), "verification-changed") == []
        (change,) = told(
            by(named),
            by(named, to=f'"10.0.0.1:1", {{ at = "10.0.0.2:1", verify = {{ {same} }} }}'),
            "verification-changed",
        )
        assert change.what.startswith("10.0.0.2:1 had to be ")


def test_a_backend_in_plaintext_before_it_hides_no_other_proof() -> None:
    old, new = (
        plan(
            route(
                "r",
                "plaintext",
                to=f'"127.0.0.1:1", {{ at = "200.0.0.2:1", tls = "reencrypt", verify = {{ {known(it)} }} }}',
            )
        )
        for it in (ONE, OTHER)
    )
    assert refused(old, new) == {"verification-changed:r"}

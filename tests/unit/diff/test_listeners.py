"""What is said of those who are believed at a listener: as addresses, however a file cuts them into networks."""

from __future__ import annotations

import pytest

from everyhop.diff.kinds import KINDS, either
from everyhop.diff.listener import come
from everyhop.diff.networks import left


@pytest.mark.parametrize(
    ("those", "without", "rest"),
    [
        (["10.0.0.0/24"], [], ["10.0.0.0/24"]),
        (["fd00::/64", "10.0.0.0/24"], [], ["10.0.0.0/24", "fd00::/64"]),
        (["10.0.0.0/24"], ["10.0.0.0/24"], []),
        (["10.0.0.0/24"], ["10.0.0.0/16"], []),
        (["10.0.0.0/24"], ["10.0.0.0/25"], ["10.0.0.128/25"]),
        (["10.0.0.0/24"], ["10.0.0.0/25", "10.0.0.128/25"], []),
        (["10.0.0.0/25", "10.0.0.128/25"], ["10.0.0.0/24"], []),
        (["10.0.0.0/24"], ["10.1.0.0/24"], ["10.0.0.0/24"]),
        (["10.0.0.0/24", "fd00::/64"], ["10.0.0.0/24"], ["fd00::/64"]),
        (["10.0.0.0/24", "fd00::/64"], ["fd00::/16"], ["10.0.0.0/24"]),
        (["fd00::/64"], ["fd00::/65"], ["fd00::8000:0:0:0/65"]),
    ],
)
def test_who_is_believed_now_and_was_not_is_told_by_address(
    those: list[str], without: list[str], rest: list[str]
) -> None:
    assert left(those, without) == rest


@pytest.mark.parametrize(
    ("at", "before", "kind"),
    [
        ("127.0.0.1:443", ["127.0.0.2:443"], "address-added"),
        ("10.0.0.1:443", ["127.0.0.1:443"], "address-exposed"),
        ("203.0.113.1:443", ["8.8.8.8:443"], "address-added"),
        ("8.8.8.8:443", ["10.0.0.1:443"], "address-exposed"),
        ("0.0.0.0:443", ["8.8.8.8:443"], "address-exposed"),
        ("0.0.0.0:443", ["[::]:443"], "address-added"),
        ("10.0.0.1:443", ["127.0.0.1:443", "10.0.0.2:443"], "address-added"),
        ("0.0.0.0:443", [], "address-added"),
    ],
)
def test_an_address_is_exposed_where_more_people_reach_it_than_any_before(
    at: str, before: list[str], kind: str
) -> None:
    assert come(at, before).kind == kind


def test_a_change_for_the_worse_is_told_with_what_follows_from_it_and_not_from_the_other_way() -> None:
    kinds = ("acceptance-lengthened", "acceptance-shortened")
    assert {*kinds} <= {*KINDS}
    for worse, kind, so in ((True, kinds[0], "bad"), (False, kinds[1], "good")):
        told = either(worse, kinds, "r", "what", ("bad", "good"))
        assert (told.kind, told.about, told.what, told.so) == (kind, "r", "what", so)

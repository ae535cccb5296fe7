"""How long what an edge shows lasts: its own end, and that of the authority behind it which ends first, where one does before it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from everyhop.compile import compile_file
from everyhop.compile.compiled import Life
from everyhop.demo.certificates import Authority
from tests.kit.forge import HOUR, Signer, forged, root, saved
from tests.kit.one_site import TEXT

DAY = 24 * HOUR


def seconds(at: dt.datetime) -> int:
    return int(at.timestamp())


def life(folder: Path, leaf: Signer, *chain: Signer) -> Life:
    saved(folder, "leaf", leaf, Signer(leaf.cert, leaf.key, [it.cert for it in chain]))
    (found,) = compile_file(folder / "everyhop.toml", text=TEXT).material.lives.values()
    assert (found.begins_s, found.ends_s) == (
        seconds(leaf.cert.not_valid_before_utc),
        seconds(leaf.cert.not_valid_after_utc),
    )
    return found


def until(at: dt.datetime, by: Signer) -> Signer:
    """A certificate that ends in that very second, however busy the machine is."""
    while True:
        it = forged("a.test", by, names=["a.test"], ends=at - dt.datetime.now(dt.UTC))
        if it.cert.not_valid_after_utc == at:
            return it


@pytest.fixture
def top(tmp_path: Path) -> Signer:
    return root(Authority(tmp_path, "Top CA"))


def test_the_authority_that_ends_first_is_told_where_it_ends_before_the_certificate(
    tmp_path: Path, top: Signer
) -> None:
    upper = forged("Upper CA", top, ca=True, ends=60 * DAY)
    lower = forged("Lower CA", upper, ca=True, ends=40 * DAY)
    found = life(tmp_path, forged("a.test", lower, names=["a.test"], ends=50 * DAY), lower, upper)
    assert (found.issuer, found.issuer_ends_s) == ("'CN=Lower CA'", seconds(lower.cert.not_valid_after_utc))


@pytest.mark.parametrize("more", [dt.timedelta(), DAY])
def test_an_authority_that_ends_with_the_certificate_or_later_is_not_told(
    tmp_path: Path, top: Signer, more: dt.timedelta
) -> None:
    lower = forged("Lower CA", top, ca=True, ends=50 * DAY)
    leaf = until(lower.cert.not_valid_after_utc - more, lower)
    found = life(tmp_path, leaf, lower)
    assert (found.issuer, found.issuer_ends_s) == ("", 0)


def test_a_root_that_comes_along_is_believed_for_being_known_however_soon_it_ends(tmp_path: Path, top: Signer) -> None:
    found = life(tmp_path, until(top.cert.not_valid_after_utc + DAY, top), top)
    assert (found.issuer, found.issuer_ends_s) == ("", 0)
    assert found == Life(found.begins_s, found.ends_s)

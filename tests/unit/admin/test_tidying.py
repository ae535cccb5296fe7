"""What nothing names any more is removed once nobody can use it, and never what runs, nor what may be taken back."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import cast

import pytest

from everyhop.admin.fetching import Fetching
from everyhop.admin.tidying import LONG, tidy
from everyhop.authority.held import Held
from everyhop.compile import Compiled, compile_file
from everyhop.demo.certificates import Authority
from everyhop.model import Config
from tests.kit.forge import HOUR, Signer, crl, forged, root, saved

HEAD = 'version = 1\n[[listener]]\nname = "l"\nbind = ["127.0.0.1:1"]\n'
DAY = 24 * HOUR
NAMED, OTHER = "http://a.test/x.crl", "http://b.test/x.crl"
NOW = dt.datetime.now(dt.UTC)


@pytest.fixture
def by(tmp_path: Path) -> Signer:
    (folder := tmp_path / "by").mkdir()
    return root(Authority(folder, "CA"))


def config(*identities: str) -> Config:
    given = [{"name": it, "from": "ca", "authority": "127.0.0.1:1"} for it in identities]
    return Config.model_validate(
        {"version": 1, "listener": [{"name": "l", "bind": ["127.0.0.1:1"]}], "identity": given}
    )


def listed(folder: Path, by: Signer, url: str, ends: dt.timedelta) -> Path:
    path = folder / config().crl.kept(url)
    path.parent.mkdir(exist_ok=True)
    return crl(path, by, ends=ends, begins=min(ends, dt.timedelta()) - DAY)


def held(folder: Path, by: Signer, name: str, ends: dt.timedelta) -> Path:
    it = Held(folder / "identities" / name)
    leaf = saved(folder, name, forged(name, by, names=[name], begins=ends - 9 * DAY, ends=ends), by)
    with it.alone():
        it.keep(leaf.key.read_bytes() + leaf.chain.read_bytes(), leaf.chain.read_bytes(), None)
    return it.at


def test_an_overdue_list_that_nothing_names_is_removed_and_no_other(tmp_path: Path, by: Signer) -> None:
    long = -LONG - HOUR
    for url, ends, urls, stays in (
        (OTHER, long, {NAMED}, False),
        (NAMED, long, {NAMED}, True),
        (OTHER, long + DAY, {NAMED}, True),
        (OTHER, DAY, {NAMED}, True),
    ):
        path = listed(tmp_path, by, url, ends)
        told = tidy(config(), tmp_path, urls, NOW)
        assert path.exists() == stays and bool(told) != stays
        assert stays or str(path) in told[0]


def test_an_identity_that_is_over_and_that_nothing_names_is_removed_with_its_key_and_no_other(
    tmp_path: Path, by: Signer
) -> None:
    long = -LONG - HOUR
    gone, named, new = (held(tmp_path, by, *it) for it in (("gone", long), ("own", long), ("new", DAY)))
    (told,) = tidy(config("own"), tmp_path, set(), NOW)
    assert str(gone) in told and not gone.exists()
    assert named.exists() and new.exists() and tidy(config("own"), tmp_path, set(), NOW) == []


def test_what_cannot_be_read_and_whatever_else_lies_there_is_left_alone(tmp_path: Path, by: Signer) -> None:
    long = -LONG - HOUR
    path, folder = listed(tmp_path, by, OTHER, long), held(tmp_path, by, "gone", long)
    (tmp_path / "elsewhere").mkdir()
    elsewhere = held(tmp_path / "elsewhere", by, "x", long)
    (tmp_path / "identities" / "link").symlink_to(elsewhere)
    path.rename(path.with_name("mine.pem"))
    listed(tmp_path, by, OTHER, long).write_bytes(b"nothing that is a list")
    (folder / "current" / "pair.pem").write_bytes(b"nothing that is a pair")
    assert tidy(config(), tmp_path, set(), NOW) == []


def test_only_what_runs_says_what_is_named(tmp_path: Path, by: Signer) -> None:
    """A reload that failed leaves what runs, and so all that it names; one that did not is looked at once."""
    path = listed(tmp_path, by, OTHER, -LONG - HOUR)
    (file := tmp_path / "everyhop.toml").write_text(HEAD)
    it, empty = Fetching(file), compile_file(file)

    class Running:
        """What runs names the list, whose signers are yet to come."""

        config, document, lists = empty.config, object(), {OTHER: ()}

    it.look(cast(Compiled, Running))
    assert path.exists()
    it.look(empty)
    assert not path.exists()
    it.end()

"""What is kept is whole, and nobody else's to read."""

from __future__ import annotations

import datetime as dt
import os
import stat
from pathlib import Path

import pytest

from everyhop.acme import Stopped, Store
from everyhop.acme.due import Window
from everyhop.acme.problem import Problem
from everyhop.acme.state import Renewal, SiteState, Standing, site_state, standings
from everyhop.errors import Surroundings
from everyhop.model.acme import site_folder


def test_what_is_written_is_read_whatever_others_may_do_by_default(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        it = Store(tmp_path / "a" / "b")
        it.write("sites/shop/x.pem", b"a key")
    finally:
        os.umask(before)
    assert it.read("sites/shop/x.pem") == b"a key"
    for path, mode in [("", 0o700), ("sites", 0o700), ("sites/shop", 0o700), ("sites/shop/x.pem", 0o600)]:
        assert stat.S_IMODE((it.folder / path).stat().st_mode) == mode


def test_a_folder_that_others_can_use_is_refused_with_its_mend(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    with pytest.raises(Surroundings, match="can be used by others") as refused:
        Store(tmp_path)
    assert refused.value.more == (f"chmod 700 {tmp_path}",)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    os.chown(tmp_path, 65534, 65534)
    with pytest.raises(Surroundings, match="belongs to somebody else"):
        Store(tmp_path)


def test_a_file_in_the_folder_s_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(Surroundings, match="cannot use"):
        Store(tmp_path / "x")


@pytest.mark.parametrize("kind", ["link", "pipe", "exposed"])
def test_what_was_put_in_a_key_s_place_is_not_read(kind: str, tmp_path: Path) -> None:
    it = Store(tmp_path / "s")
    path = it.folder / "key.pem"
    if kind == "link":
        (tmp_path / "elsewhere").write_text("x")
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "pipe":
        os.mkfifo(path, 0o600)
    else:
        path.write_text("x")
        path.chmod(0o644)
    with pytest.raises(Stopped):
        it.read("key.pem")


def test_what_a_crash_left_half_written_is_gone_with_the_next_start(tmp_path: Path) -> None:
    it = Store(tmp_path / "s")
    it.write("sites/shop/x", b"1")
    (it.folder / "sites" / "shop" / ".writing-abc").write_bytes(b"half")
    Store(it.folder)
    assert sorted(path.name for path in (it.folder / "sites" / "shop").iterdir()) == ["x"]


@pytest.mark.parametrize("name", ["../../etc", "", ".", "a/b", "UPPER", "ü", "x" * 300, "a\nb", "-x"])
def test_a_site_of_any_name_has_a_folder_of_its_own_inside(name: str, tmp_path: Path) -> None:
    it = Store(tmp_path / "s")
    it.write(f"{site_folder(name)}/x", b"1")
    assert (it.folder / site_folder(name)).resolve().parent == it.folder.resolve() / "sites"
    assert site_folder(name) != site_folder(f"{name}x")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"names": 1}', '{"names": [], "failures": "x"}', "[" * 100_000, "null", "\x00"]
)
def test_a_state_that_is_none_is_as_if_it_never_was(text: str, tmp_path: Path) -> None:
    it = Store(tmp_path / "s")
    it.write("state.json", text.encode())
    assert site_state(it, "state.json") == SiteState() and standings(it, "state.json") == {}


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:

    at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    problem = Problem("refused", "no", (("a.test", "why"),), "caa", "Authority", 3.5)
    renewal = Renewal(0.25, Window(at, at + dt.timedelta(days=1)), 17.5, "https://x/", [1.0, 2.0], True)
    state = SiteState(("a.test",), 3, 99.5, 9.5, 2, [5.0], {"https://x/": 7.0}, problem, {"rsa-2048": renewal})
    it = Store(tmp_path / "s")
    it.write_json("state.json", state.as_json())
    assert site_state(it, "state.json") == state
    standing = Standing(2, 5.5, [1.0], problem)
    it.write_json("authorities.json", {"https://x/": standing.as_json()})
    assert standings(it, "authorities.json") == {"https://x/": standing}

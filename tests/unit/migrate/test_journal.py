"""What is noted of a migration: whole or not at all, for nobody else's eyes, and never something else for it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from everyhop.errors import Surroundings
from everyhop.migrate.asked import Asked
from everyhop.migrate.journal import Journal, kept, place_of

ASKED = Asked(present="i", to_port=8443, spiffe="spiffe://corp.example/b")


def noted(file: Path, route: str = "r") -> Journal:
    it = Journal(place_of(file, route), "before = 1\n", ["a:1", "b:2"], ASKED, ["one", "two"], [1])
    it.keep()
    return it


def test_what_is_noted_is_read_again_and_forgotten_when_it_is_over(tmp_path: Path) -> None:
    file = tmp_path / "everyhop.toml"
    assert kept(file, "r") is None
    it = noted(file)
    assert kept(file, "r") == it and it.path.stat().st_mode & 0o777 == 0o600
    (again := replace(it, watched=[0, 1])).keep()
    assert kept(file, "r") == again and [path.name for path in tmp_path.iterdir()] == [it.path.name]
    it.forget()
    it.forget()
    assert kept(file, "r") is None and "before = 1" not in repr(it.path)


def test_each_route_of_each_file_has_its_own_beside_that_file_wherever_a_link_to_it_lies(tmp_path: Path) -> None:
    (real := tmp_path / "real").mkdir()
    (file := real / "everyhop.toml").touch()
    (link := tmp_path / "everyhop.toml").symlink_to(file)
    names = ["r", "R", "a/b", "../a", "a b", "%2F", "ä"]
    places = [place_of(file, name) for name in names]
    assert len({*places}) == len(names) and {it.parent for it in places} == {real}
    assert [place_of(link, name) for name in names] == places
    assert all(it.name.startswith(".") and it.suffix == ".json" for it in places), "no pattern of include finds it"


@pytest.mark.parametrize(
    "spoiled",
    [
        lambda it: "",
        lambda it: "[]",
        lambda it: "null",
        lambda it: json.dumps({**it, "version": 2}),
        lambda it: json.dumps({key: one for key, one in it.items() if key != "version"}),
        lambda it: json.dumps({key: one for key, one in it.items() if key != "before"}),
        lambda it: json.dumps({**it, "more": 1}),
        lambda it: json.dumps({**it, "asked": {"nobody": 1}}),
        lambda it: json.dumps({**it, "asked": None}),
    ],
)
def test_what_is_none_is_told_and_not_taken_for_one(tmp_path: Path, spoiled: object) -> None:
    it = noted(tmp_path / "everyhop.toml")
    it.path.write_text(spoiled(json.loads(it.path.read_text())))  # type: ignore[operator]
    with pytest.raises(Surroundings, match="is not what everyhop migrate writes"):
        kept(tmp_path / "everyhop.toml", "r")
    it.path.unlink()
    it.path.mkdir()
    with pytest.raises(Surroundings, match="cannot read"):
        kept(tmp_path / "everyhop.toml", "r")


def test_where_nothing_can_be_noted_nothing_is_moved(tmp_path: Path) -> None:
    it = noted(tmp_path / "everyhop.toml")
    # Somebody's link under the name that is written to is not followed.
    (other := tmp_path / "other").write_text("kept")
    (beside := it.path.with_name(f"{it.path.name}.{os.getpid()}")).symlink_to(other)
    with pytest.raises(Surroundings, match="nothing was moved"):
        replace(it, watched=[]).keep()
    beside.unlink()
    assert other.read_text() == "kept" and kept(tmp_path / "everyhop.toml", "r") == it
    with pytest.raises(Surroundings, match="No such file"):
        replace(it, path=tmp_path / "gone" / "journal").keep()

"""What is kept of a configuration that runs: found again by its own file, by nobody else's, and not after an orderly end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from everyhop.admin import lastgood
from everyhop.admin.lastgood import LastGood
from tests.kit.process import ROOT


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    where = tmp_path / "run"
    monkeypatch.setattr(lastgood, "runtime_dir", lambda: where)
    return where


def test_what_was_kept_is_found_by_its_own_file_and_by_no_other(tmp_path: Path) -> None:
    LastGood(tmp_path / "a.toml").keep("version = 1\r\nnäme = 2\n")
    assert LastGood(tmp_path / "a.toml").text() == "version = 1\r\nnäme = 2\n"
    assert LastGood(tmp_path / "b.toml").text() is None


def test_what_was_kept_is_found_in_a_folder_whose_name_is_not_of_utf_8(tmp_path: Path) -> None:
    where = tmp_path / os.fsdecode(b"b\xfcro")
    where.mkdir()
    LastGood(where / "a.toml").keep("version = 1\n")
    assert LastGood(where / "a.toml").text() == "version = 1\n"


def test_after_an_orderly_end_nothing_is_kept(tmp_path: Path) -> None:
    it = LastGood(tmp_path / "a.toml")
    it.keep("version = 1\n")
    it.forget()
    it.forget()
    assert it.text() is None


def test_what_is_kept_is_ours_alone_and_no_link_is_followed(tmp_path: Path, folder: Path) -> None:
    it = LastGood(tmp_path / "a.toml")
    it.keep("version = 1\n")
    assert it.path.stat().st_mode & 0o777 == 0o600
    elsewhere = tmp_path / "elsewhere"
    it.path.rename(elsewhere)
    it.path.symlink_to(elsewhere)
    assert it.text() is None


def test_a_folder_that_cannot_be_written_is_no_reason_to_fail(tmp_path: Path, folder: Path) -> None:
    folder.write_text("a file where the folder should be")
    it = LastGood(tmp_path / "a.toml")
    it.keep("version = 1\n")
    assert it.text() is None


@pytest.mark.skipif(not ROOT, reason="who is not root cannot give a file to somebody else")
@pytest.mark.parametrize("uid", [1, 65534])
def test_what_somebody_else_kept_is_not_ours_to_run(tmp_path: Path, uid: int) -> None:
    it = LastGood(tmp_path / "a.toml")
    it.keep("version = 1\n")
    assert it.text() == "version = 1\n"
    os.chown(it.path, uid, -1)
    assert it.text() is None
    os.chown(it.path, os.geteuid(), -1)
    assert it.text() == "version = 1\n"

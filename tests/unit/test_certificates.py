"""Reading keys: who may use the file decides, bit by bit, whether it is taken."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from everyhop.identity.certificates import Unusable, key_bytes
from tests.kit.process import ROOT

MODES = list(range(0o1000))


def exposed(path: Path) -> bool:
    try:
        data, files = key_bytes(f"file:{path.name}", path.parent, {})
    except Unusable as e:
        assert e.slug == "certificate/key-exposed" and oct(path.stat().st_mode & 0o777)[2:] in e.what
        return True
    assert data == b"the key" and set(files) == {path}
    return False


@pytest.mark.skipif(not ROOT, reason="who is not root cannot read what its mode forbids")
def test_a_key_is_taken_only_if_its_owner_alone_writes_it_and_no_stranger_uses_it(tmp_path: Path) -> None:
    """Its group may read it: that is how a key is lent to the user that everyhop runs as."""
    path = tmp_path / "a.key"
    path.write_bytes(b"the key")
    taken = []
    for mode in MODES:
        path.chmod(mode)
        if not exposed(path):
            taken.append(mode)
    group_reads, group_runs = 0o040, 0o010
    owners = {owner << 6 for owner in range(8)}
    assert set(taken) == {owner | group for owner in owners for group in (0, group_reads, group_runs, 0o050)}


@pytest.mark.parametrize("bit", [stat.S_IWGRP, stat.S_IROTH, stat.S_IWOTH, stat.S_IXOTH], ids=oct)
def test_a_key_that_one_bit_lends_to_others_is_not_taken(tmp_path: Path, bit: int) -> None:
    path = tmp_path / "a.key"
    path.write_bytes(b"the key")
    path.chmod(0o600)
    assert not exposed(path)
    path.chmod(0o600 | bit)
    assert exposed(path)


def test_a_key_behind_a_link_is_judged_by_the_file_and_not_by_the_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"the key")
    link = tmp_path / "a.key"
    link.symlink_to("real")
    (tmp_path / "real").chmod(0o600)
    assert not exposed(link)
    (tmp_path / "real").chmod(0o604)
    assert exposed(link)


@pytest.mark.parametrize("refer", [lambda p: "cred:a.key", lambda p: f"file:{p}"], ids=["credential", "whole path"])
def test_every_way_to_name_a_key_file_asks_who_may_use_it(tmp_path: Path, refer: Callable[[Path], str]) -> None:
    path = tmp_path / "a.key"
    path.write_bytes(b"the key")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    path.chmod(0o600)
    assert key_bytes(refer(path), Path("/nowhere"), environ)[0] == b"the key"
    path.chmod(0o660)
    with pytest.raises(Unusable, match="mode 0660"):
        key_bytes(refer(path), Path("/nowhere"), environ)

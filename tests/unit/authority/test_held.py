"""What an edge holds of its authority's: a set that cannot be written is gone, and one that is in force stays, whatever fails after that."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from everyhop.authority.held import Held
from everyhop.errors import Surroundings
from everyhop.files import synced


@pytest.mark.parametrize("at", [1, 2, 3])
def test_of_a_set_that_cannot_be_kept_nothing_is_left_and_what_was_there_stays(
    at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each time that something is to be on the disk: its files, their folder, and the link to it, by which it is in force already."""
    held, times = Held(tmp_path / "held"), 0

    def full(folder: Path) -> None:
        nonlocal times
        times += 1
        if times == at:
            raise OSError(errno.ENOSPC, "No space left on device")
        synced(folder)

    with held.alone():
        held.keep(b"first", b"roots", None)
        (first,) = held.at.glob("set-*")
        for module in ("held", "folder"):
            monkeypatch.setattr(f"everyhop.authority.{module}.synced", full)
        with pytest.raises(Surroundings, match="No space left on device"):
            held.keep(b"second", b"roots", None)
        if at == 3:
            assert held.pair.read_bytes() == b"second" and len(list(held.at.glob("set-*"))) == 2
        else:
            assert held.pair.read_bytes() == b"first" and list(held.at.glob("set-*")) == [first]

"""What the engine's process is started with."""

from __future__ import annotations

from everyhop import _door
from everyhop.engine.process import environment


def test_tunables_that_were_set_by_hand_stay_and_win() -> None:
    assert environment({"A": "b"}) == {"A": "b", "GLIBC_TUNABLES": _door.LIBC_TUNABLES}
    both = environment({"GLIBC_TUNABLES": "glibc.malloc.check=3"})["GLIBC_TUNABLES"]
    assert both == _door.LIBC_TUNABLES + ":glibc.malloc.check=3"

"""What ends soon by the clock, on a machine that may be slower than soon. Read next: `settle.py`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def in_time(act: Callable[[dt.datetime], T], seconds: float = 2) -> T:
    """What must be done before an end, given the end; where that came first, again with one that is later. Only the
    last try, or one that failed before its end, is judged."""
    for longer in (1, 4, 16):
        ends = (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=longer * seconds)).replace(microsecond=0)
        try:
            return act(ends)
        except (AssertionError, OSError):
            if longer == 16 or dt.datetime.now(dt.UTC) < ends:
                raise
    raise AssertionError("never here")

"""What time alone makes wrong with what runs: certificates and lists that are over or end soon, chains that are doubted.

There may be ten thousand sites, and this is asked each second: all are looked at when something else runs, and when the next
moment has come that changes a word; until then what was found holds. Read next: `endings.py`, `troubles.py`.
"""

from __future__ import annotations

import datetime as dt
import math

from everyhop.admin.endings import doubted, ending, lists_ending, moments
from everyhop.admin.troubles import WaysIn, over
from everyhop.compile import Compiled
from everyhop.engine.messages import Trouble


class Foreseen:
    """Of one that watches."""

    def __init__(self) -> None:
        self.ways_in = WaysIn()
        self.of: Compiled | None = None
        self.found: list[Trouble] = []
        self.from_s = self.until_s = 0.0
        """Between them, nothing but another that runs changes what was found. A clock that was set back is before them."""

    def __call__(self, running: Compiled, now: dt.datetime) -> list[Trouble]:
        now_s = now.timestamp()
        if running is not self.of or not self.from_s <= now_s < self.until_s:
            self.found = over(running, now, self.ways_in)
            self.found += ending(running, now) + doubted(running, now) + lists_ending(running, now)
            self.of, self.from_s = running, now_s
            self.until_s = min((it for it in moments(running) if it > now_s), default=math.inf)
        return self.found

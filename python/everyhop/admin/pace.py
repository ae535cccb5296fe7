"""When another engine may be started after one died: at once, unless a row of them dies as soon as they are started.
It asks no clock; whoever asks it tells the time. Read next: `supervisor.py`, which does the starting.
"""

from __future__ import annotations

# An engine that lived this long did its work: whatever killed it, the next one starts at once.
LIVED_S = 1.0
# Those that die sooner may be a few. Then, if they take the plan, no more than two are started a second: whoever can kill
# one must not gain more than that. If they do not even start, each waits a second longer than the one before.
HASTY_DEATHS, APART_S, MOST_PATIENCE_S = 5, 0.5, 10.0


class Pace:
    """All times are of a clock that nobody sets, in seconds."""

    def __init__(self) -> None:
        self.hasty = 0
        self.begun: float | None = None
        self.took_plan = False
        self.start_at = 0.0

    def begins(self, now: float) -> None:
        """An engine is being started."""
        self.begun, self.took_plan = now, False

    def runs(self) -> None:
        """It took the plan."""
        self.took_plan = True

    def died(self, now: float) -> bool:
        """True once for each: it is told here, and from then on `may_start` says when the next one may begin."""
        if self.begun is None:
            return False
        self.hasty = 0 if now - self.begun >= LIVED_S else self.hasty + 1
        over = max(self.hasty - HASTY_DEATHS, 0)
        patience = now + min(over, MOST_PATIENCE_S)
        self.start_at = self.begun + APART_S if over and self.took_plan else patience
        self.begun = None
        return True

    def may_start(self, now: float) -> bool:
        return now >= self.start_at

    def patience(self, now: float, most: float) -> float:
        """How long to wait for anything else: no longer than until an engine that is awaited may be started."""
        return min(self.start_at - now, most) if self.begun is None and self.start_at > now else most

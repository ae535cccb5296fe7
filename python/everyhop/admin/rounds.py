"""A thread that does what is due, again and again: what those have in common who bring identities and lists while the edge runs.

What is due, and when it is again, is said by each of them. Read next: `renewing.py`, `fetching.py`.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection

from everyhop.admin.standing import Fetched, Standing
from everyhop.admin.telling import say

AT_LAST_S = 5.0
"""How long those are waited for, all together, whose edge ends: one in the middle of a step has an answer to keep, such as what a token was
given for. Whoever takes longer is left alone; whatever is on the disk is whole."""
AFTER_OURS_S = 60.0
"""Until the next try after a fault of our own: it may be gone with what brought it up, and nobody is to be asked all the time for it."""


class Rounds(ABC):
    """`step` is for the thread alone; `end`, `due` and `standing` are for any."""

    standing: Standing | Fetched
    clock: Callable[[], dt.datetime]

    def __init__(self, name: str) -> None:
        self.stopped = False
        self.due = threading.Event()
        """Set where the next step is not to be waited for."""
        self.before: threading.Thread | None = None
        """Of one whose place this takes: two of them would write over each other."""
        self.thread = threading.Thread(target=self.run, name=name, daemon=True)

    def run(self) -> None:
        if self.before is not None:
            self.before.join()
        while not self.stopped:
            if self.due.wait(self.stepped()):
                self.due.clear()

    def stepped(self) -> float:
        """As `step`, whatever becomes of it: a thread that ended would do its duty no more, and nobody would hear of it."""
        try:
            return self.step()
        except BaseException as e:  # not `Exception`: a panic of a library's Rust is none
            why = f"our fault: {type(e).__name__}: {e}"
        if self.stopped:
            return 0.0
        if why != self.standing.problem:
            say(f"{self.thread.name}: {why}")
        next_try = self.clock() + dt.timedelta(seconds=AFTER_OURS_S)
        self.standing = dataclasses.replace(self.standing, next_try=next_try, problem=why)
        return AFTER_OURS_S

    def end(self) -> None:
        self.stopped = True
        self.due.set()

    @abstractmethod
    def step(self) -> float:
        """Does what is due; gives the seconds until the next."""


def end_all(them: Collection[Rounds], within_s: float = AT_LAST_S) -> None:
    """All are told to end, and waited for."""
    until = time.monotonic() + within_s
    for it in them:
        it.end()
    for it in them:
        it.thread.join(max(until - time.monotonic(), 0.0))

"""A thread that does what is due, again and again: what those have in common who bring identities and lists while the edge runs.

What is due, and when it is again, is said by each of them. Read next: `renewing.py`, `fetching.py`.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Collection

AT_LAST_S = 5.0
"""How long those are waited for, all together, whose edge ends: one in the middle of a step has an answer to keep, such as what a token was
given for. Whoever takes longer is left alone; whatever is on the disk is whole."""


class Rounds(ABC):
    """`step` is for the thread alone; `end` and `due` are for any."""

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
            wait_s = self.step()
            if self.due.wait(wait_s):
                self.due.clear()

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

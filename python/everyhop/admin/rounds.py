"""A thread that does what is due, again and again: what those have in common who bring identities and lists while the edge runs.

What is due, and when it is again, is said by each of them. Read next: `renewing.py`, `fetching.py`.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod


class Rounds(ABC):
    """`step` is for the thread alone; `end` and `due` are for any."""

    def __init__(self, name: str) -> None:
        self.stopped = False
        self.due = threading.Event()
        """Set where the next step is not to be waited for."""
        self.thread = threading.Thread(target=self.run, name=name, daemon=True)

    def run(self) -> None:
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

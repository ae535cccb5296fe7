"""systemd's watchdog is fed while a step lasts: reading thousands of certificates anew is no standstill. A step without end
is one, and is not fed any more after `STEP_MOST_S`. Read next: `loop.py`, whose turns it counts."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

from everyhop.admin.notify import notify

STEP_MOST_S = 600.0


class Watchdog:
    """`now` is a clock that nobody sets, in seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.now, self.turned = now, now()
        self.over = threading.Event()
        self.thread: threading.Thread | None = None

    def starts(self) -> None:
        """Where nobody watches there is nothing to feed, and no thread."""
        every = os.environ.get("WATCHDOG_USEC", "")
        if every.isdigit() and int(every):
            self.thread = threading.Thread(target=self.run, args=(int(every) / 3e6,), name="watchdog", daemon=True)
            self.thread.start()

    def ends(self) -> None:
        """Nothing is told any more. For whoever goes on in the same process: an edge that ends says that it lives until it does not."""
        self.over.set()
        if self.thread is not None:
            self.thread.join()

    def turn(self) -> None:
        """The loop goes round."""
        self.turned = self.now()
        notify("WATCHDOG=1")

    def run(self, every_s: float) -> None:
        while not self.over.wait(every_s):
            self.beat()

    def beat(self) -> None:
        if self.now() - self.turned < STEP_MOST_S:
            notify("WATCHDOG=1")

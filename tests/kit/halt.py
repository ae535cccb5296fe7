"""A process that stands still: whole, and not as soon as it was told to."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.kit.edge import until


def halt(pid: int) -> None:
    """Stops it, and waits until each of its threads has stopped: what one was told another hears when it next runs, and
    may answer before, on a machine that is busy."""
    os.kill(pid, signal.SIGSTOP)
    until(lambda: has_stopped(pid))


def has_stopped(pid: int) -> bool:
    stats = Path(f"/proc/{pid}/task").glob("*/stat")
    return all(stat.read_text().rpartition(") ")[2].startswith("T") for stat in stats)

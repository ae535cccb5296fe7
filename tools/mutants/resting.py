"""Whether processes that do not end are at work, or wait for what never comes. By the clock alone a busy machine would make the one
of the other."""

from __future__ import annotations

import os
from pathlib import Path

LOOKS = 20
"""So many looks in a row at which nothing ran, nor had run since the look before."""


class Resting:
    """The processes of a session, by their leader. Looked at about once a second."""

    def __init__(self, session: int) -> None:
        self.session = session
        self.spent = -1
        self.times = 0

    def looked(self) -> bool:
        """Looks once more; whether they wait for what never comes."""
        spent, runs = 0, False
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                if os.getsid(int(folder.name)) != self.session:
                    continue
                spent += ticks(folder)
                runs |= any(state(task) in "RD" for task in (folder / "task").iterdir())
            except OSError:
                runs = True  # it ended just now
        self.times = self.times + 1 if spent == self.spent and not runs else 0
        self.spent = spent
        return self.times >= LOOKS


def fields(folder: Path) -> list[str]:
    """Of proc_pid_stat(5), behind the name, which may hold anything."""
    return (folder / "stat").read_text().rpartition(")")[2].split()


def state(folder: Path) -> str:
    return fields(folder)[0]


def ticks(folder: Path) -> int:
    """Of the processor's time, its children's that ended with it."""
    return sum(map(int, fields(folder)[11:15]))

"""The list of survivors that are right to survive: `accepted.txt`, a reason above those that it holds for.

A survivor is known by file, change and the line that it changes, not by the line's number, which moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("accepted.txt")


@dataclass(frozen=True, order=True)
class Survivor:
    file: str
    change: str
    line: str

    def __str__(self) -> str:
        return f"{self.file} | {self.change} | {self.line}"


class Unreasoned(ValueError):
    """A survivor stands in the list without a reason above it; whoever put it there can say why."""


def accepted(text: str) -> dict[Survivor, str]:
    """The survivors with their reasons.

    Raises `Unreasoned`.
    """
    found: dict[Survivor, str] = {}
    reason: list[str] = []
    listing = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("#"):
            if listing:
                reason, listing = [], False
            reason.append(line.lstrip("# "))
        elif line.strip():
            if not any(reason):
                raise Unreasoned(f"{FILE.name}:{number} has no reason above it")
            file, change, source = line.split(" | ", 2)
            found[Survivor(file, change, source.strip())] = " ".join(reason)
            listing = True
        else:
            reason, listing = [], False
    return found


def judged(
    survivors: set[Survivor], known: dict[Survivor, str], files: set[str]
) -> tuple[set[Survivor], set[Survivor]]:
    """The survivors that nobody accepted, and the accepted ones of `files` that a test kills by now or that are gone."""
    of_these = {it for it in known if it.file in files}
    return survivors - set(known), of_these - survivors

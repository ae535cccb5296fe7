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


def accepted(text: str) -> dict[str, str]:
    """The survivors as they are printed, with their reasons.

    Raises `Unreasoned`.
    """
    found: dict[str, str] = {}
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
            found[line.strip()] = " ".join(reason)
            listing = True
        else:
            reason, listing = [], False
    return found


def judged(survivors: set[Survivor], known: dict[str, str], files: set[str]) -> tuple[set[str], set[str]]:
    """The survivors that nobody accepted, and the accepted ones of `files` that a test kills by now or that are gone."""
    told = {str(it) for it in survivors}
    of_these = {it for it in known if it.partition(" | ")[0] in files}
    return told - known.keys(), of_these - told

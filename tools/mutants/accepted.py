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


@dataclass(frozen=True)
class Told:
    """What a run says: each mutant that was asked of, and those that no test noticed.

    Several mutants may be one `Survivor`, so `count` is their number.
    """

    asked: set[Survivor]
    survived: set[Survivor]
    count: int
    partly: bool = False
    """Only lines that changed since some commit were asked."""


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


def judged(told: Told, known: dict[str, str]) -> tuple[set[str], set[str]]:
    """The survivors that nobody accepted, and the accepted ones that a test kills by now or that are gone.

    Of the accepted ones only those count that the run could have met: where a part of the lines was asked, the same mutants;
    else all of the same files, so that one whose line is gone is found too.
    """
    survived = {str(it) for it in told.survived}
    asked = {str(it) for it in told.asked}
    files = set() if told.partly else {it.file for it in told.asked}
    met = {it for it in known if it in asked or it.partition(" | ")[0] in files}
    return survived - known.keys(), met - survived

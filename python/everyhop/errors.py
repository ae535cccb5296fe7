"""Every error that reaches a person.

EveryhopError          exit 3  our fault
├── Refused            exit 1  what was given is refused; carries the findings
├── Declined           exit 1  an authority does not do what it was asked
├── Misuse             exit 2  the command was called wrongly
└── Surroundings       exit 4  a file, port, permission or the engine is not as needed

Each is one message for a person: what happened, why, and what to do. The command line turns it into text and code;
a traceback is always a bug.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from everyhop.refusals import Finding


class EveryhopError(Exception):
    """The root; on its own it means that we are at fault. `more` are further lines for a person."""

    code = 3

    def __init__(self, message: str = "", *more: str) -> None:
        super().__init__(message)
        self.more = more


class Refused(EveryhopError):
    """A configuration, plan or request that is not acceptable. `text` is what was read of it, where that came so far."""

    code = 1

    def __init__(self, findings: list[Finding], text: str | None = None) -> None:
        super().__init__(f"{len(findings)} finding(s)")
        self.findings, self.text = findings, text

    def __reduce__(self) -> tuple[type[Refused], tuple[list[Finding], str | None]]:
        return Refused, (self.findings, self.text)  # as it was made: it may come from another process


class Declined(EveryhopError):
    """An authority was asked for what it does not do: a name that is not its own, a request that asks for more."""

    code = 1


class Misuse(EveryhopError):
    """The command line makes no sense."""

    code = 2


class Surroundings(EveryhopError):
    """Something outside of the configuration stands in the way."""

    code = 4

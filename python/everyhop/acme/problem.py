"""What kept a certificate from coming, in the words of whoever said no. It decides nothing: read next `backoff.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from acme import messages

Kind = Literal["outage", "limited", "refused", "spent", "here"]
"""The authority does not answer as one; asks for patience; says no; issued what cannot be used; or it is not its fault."""

KINDS: tuple[Kind, ...] = get_args(Kind)
LONGEST = 600
"""Characters of what a stranger says: it is shown in `status` and in the log."""


@dataclass(frozen=True)
class Problem:
    """One no."""

    kind: Kind
    said: str
    parts: tuple[tuple[str, str], ...] = ()
    """Of names, each with what is said of it."""
    code: str = ""
    """The last word of the problem's type (RFC 8555 §6.7), such as `rateLimited`."""
    authority: str = ""
    retry_after_s: float | None = None

    def __str__(self) -> str:
        who = f"{self.authority}: " if self.authority else ""
        return "; ".join([f"{who}{self.said}", *(f"{name}: {said}" for name, said in self.parts)])

    def as_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "said": self.said,
            "parts": [list(part) for part in self.parts],
            "code": self.code,
            "authority": self.authority,
            "retry_after_s": self.retry_after_s,
        }

    @classmethod
    def from_json(cls, it: Mapping[str, Any]) -> Problem:
        """Raises `LookupError`, `TypeError` or `ValueError` for what is none."""
        if it["kind"] not in KINDS:
            raise ValueError(it["kind"])
        parts = tuple((str(name), str(said)) for name, said in it["parts"])
        return cls(it["kind"], str(it["said"]), parts, str(it["code"]), str(it["authority"]), it["retry_after_s"])


class Stopped(Exception):
    """A step that could not be done."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class Leaving(BaseException):
    """Whoever takes the step is to end: nothing was refused and nobody is down, so that nothing is noted, and the next keeper goes on from
    the store. No `Exception`, so that nothing on the way takes it for a trouble."""


def stopped(kind: Kind, said: str, *parts: tuple[str, str], authority: str = "", code: str = "") -> Stopped:
    return Stopped(Problem(kind, printable(said), tuple((n, printable(s)) for n, s in parts), code, authority))


def printable(text: object) -> str:
    """What a stranger says, in one line that does nothing to a terminal."""
    line = "".join(c if c.isprintable() else " " for c in str(text))
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} ..."


def of_error(error: messages.Error, status: int, retry_after_s: float | None, authority: str) -> Problem:
    """What an authority answers instead (RFC 7807), in its own words."""
    code = str(error.typ).rpartition(":")[2]
    kind: Kind = "refused"
    if code == "rateLimited" or status == 429:
        kind = "limited"
    elif status >= 500 or code in {"serverInternal", "badNonce"}:
        kind = "outage"
    return Problem(kind, words(error), parts_of(error), printable(code), authority, retry_after_s)


def words(error: messages.Error) -> str:
    return printable(error.detail or error.title or error.description or error.typ)


def parts_of(error: messages.Error) -> tuple[tuple[str, str], ...]:
    """Its subproblems (RFC 8555 §6.7.1), by name; the first twenty: an order has a hundred names at most."""
    subs = (error.subproblems or ())[:20]
    return tuple((printable(sub.identifier.value) if sub.identifier else "?", words(sub)) for sub in subs)

"""A change, and the kinds of change, each with the direction in which it moves trust."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Direction = Literal["weaker", "stronger", "neutral"]

KINDS: dict[str, tuple[Direction, str]] = {
    "names-unknown": ("weaker", "a site's names are those of a certificate that cannot be read here"),
}
"""The direction of each kind and what it is. Each module of this package adds those that it tells."""


@dataclass(frozen=True)
class Change:
    """One change, and what follows from it."""

    kind: str
    about: str
    """The route, site, listener or name."""
    what: str
    so: str
    accepted: tuple[str, ...] = ()
    """The addresses plaintext to which makes it, each accepted by somebody."""
    covered: bool = False
    """Excused by an acceptance that is a change of its own in the same edit, and has to be allowed itself: one that is new
    for each of the addresses."""

    @property
    def direction(self) -> Direction:
        return KINDS[self.kind][0]

    @property
    def allow(self) -> str:
        """What `--allow` takes."""
        return f"{self.kind}:{self.about}"


def either(worse: bool, kinds: tuple[str, str], about: str, what: str, so: tuple[str, str]) -> Change:
    """The weaker or the stronger one of two opposite kinds, with what follows from each."""
    return Change(kinds[0] if worse else kinds[1], about, what, so[0] if worse else so[1])

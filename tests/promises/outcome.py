"""What a promise came to: its figures beside their bounds, and whether it holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Scale:
    """How much of a promise is tried. `timed`: bounds of time and memory are held too, which a busy machine breaks."""

    seconds: float
    timed: bool = False
    whole: bool = False
    """The figure in full, not a sample of it: 50 deaths, 100 rotations, 10,000 clients."""


@dataclass(frozen=True)
class Check:
    what: str
    figure: str
    bound: str
    held: bool
    judged: bool = True


@dataclass
class Outcome:
    number: int
    title: str
    checks: list[Check] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def must(self, what: str, figure: object, bound: str, held: bool) -> None:
        """A bound that holds on any machine."""
        self.checks.append(Check(what, str(figure), bound, bool(held)))

    def timed(self, scale: Scale, what: str, figure: object, bound: str, held: bool) -> None:
        """A bound that is measured everywhere and judged where the machine is ours."""
        self.checks.append(Check(what, str(figure), bound, bool(held), judged=scale.timed))

    @property
    def held(self) -> bool:
        return bool(self.checks) and all(c.held for c in self.checks if c.judged)

    def lines(self) -> list[str]:
        said = [f"{self.number:>2}  {self.title}: {'held' if self.held else 'NOT HELD'}"]
        for c in self.checks:
            word = "held" if c.held else ("NOT HELD" if c.judged else "not judged here")
            said.append(f"    {c.what}: {c.figure} (bound: {c.bound}) {word}")
        return said + [f"    note: {n}" for n in self.notes]


Promise = Callable[..., Outcome]


def assert_held(it: Outcome) -> None:
    print("\n".join(it.lines()))
    assert it.held, "\n".join(it.lines())


def percentile(sorted_values: list[float], at: float) -> float:
    return sorted_values[min(int(len(sorted_values) * at), len(sorted_values) - 1)] if sorted_values else 0.0

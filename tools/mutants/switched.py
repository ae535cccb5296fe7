"""Sources with each mutant built in beside what it breaks, so that all of a crate are built at once: a number in the environment
says which is done. `cargo mutants --list` says what there is to break. Read next: `rust.py`, which runs them.

A function whose mutants are 7 and 8 becomes `match crate::switch_of_mutants() { 7 => { .. }, 8 => { .. }, _ => { .. } }`, each arm its
whole body: what is moved or borrowed in one is not in another.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VARIABLE = "EVERYHOP_MUTANT"
SWITCH = f"""
pub(crate) fn switch_of_mutants() -> u32 {{
    static IT: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    *IT.get_or_init(|| std::env::var("{VARIABLE}").ok().and_then(|it| it.parse().ok()).unwrap_or(0))
}}
"""
FUNCTION = re.compile(r"^(?:pub(?:\([^)]*\))? )?(?:default )?(?:async |unsafe |extern \"\w+\" )*fn ")
Place = tuple[int, int]
"""A line and a column, counted from 1."""


@dataclass(frozen=True)
class Mutant:
    number: int
    file: str
    name: str
    first: Place
    """Where what is replaced begins."""
    end: Place
    replacement: str
    within: tuple[int, int] | None
    """The lines of the function, its comments and attributes with it; none for what stands in a constant."""

    @classmethod
    def of(cls, number: int, told: dict[str, Any]) -> Mutant:
        """As cargo-mutants lists it."""

        def place(it: dict[str, int]) -> Place:
            return it["line"], it["column"]

        span, function = told["span"], told["function"]
        within = (function["span"]["start"]["line"], function["span"]["end"]["line"]) if function else None
        return cls(
            number, told["file"], told["name"], place(span["start"]), place(span["end"]), told["replacement"], within
        )


def broken(text: str, it: Mutant) -> str:
    """The file with that mutant alone."""
    lines = text.split("\n")
    (row, column), (end_row, end_column) = it.first, it.end
    # Whoever reads what comes of it finds the place; and nothing runs together.
    whole = f"{lines[row - 1][: column - 1]}{it.replacement} /* broken */{lines[end_row - 1][end_column - 1 :]}"
    return "\n".join([*lines[: row - 1], whole, *lines[end_row:]])


def outermost(mutants: Iterable[Mutant]) -> dict[tuple[int, int], list[Mutant]]:
    """By function; one within another is that one's."""
    spans = {it.within for it in mutants if it.within}
    found: dict[tuple[int, int], list[Mutant]] = defaultdict(list)
    for it in mutants:
        if it.within:
            around = min(
                (s for s in spans if s[0] <= it.within[0] and it.within[1] <= s[1]), key=lambda s: (s[0], -s[1])
            )
            found[around].append(it)
    return found


def body(lines: list[str], function: tuple[int, int]) -> tuple[int, int] | None:
    """The first and the last line between a function's braces, as rustfmt writes it; none where it can hold no switch."""
    first, last = function
    for row in range(first, last):
        if not FUNCTION.match(lines[row - 1].lstrip()):
            continue
        indent = lines[row - 1][: -len(lines[row - 1].lstrip())]
        for brace in range(row, last):
            line = lines[brace - 1]
            # Its arms would each have a type of their own.
            if "-> impl " in line:
                return None
            if line.endswith("{") and line.startswith(indent) and not line[len(indent) :].startswith(" "):
                return (brace + 1, last - 1) if lines[last - 1] == indent + "}" else None
        return None
    return None


def switched(text: str, mutants: Collection[Mutant]) -> tuple[str, dict[int, int], list[Mutant]]:
    """The file with all of them, the mutant of each line that is one's alone, and those that it cannot hold."""
    lines = text.split("\n")
    out: list[str] = []
    whose: dict[int, int] = {}
    left = [it for it in mutants if not it.within]
    at = 1
    for function, its in sorted(outermost(mutants).items()):
        inside = body(lines, function)
        if not inside or function[0] < at:
            left += its
            continue
        first, last = inside
        out += lines[at - 1 : first - 1]
        out.append("match crate::switch_of_mutants() {")
        for it in its:
            changed = broken(text, it).split("\n")
            grown = len(changed) - len(lines)
            arm = [f"{it.number} => {{", *changed[first - 1 : last + grown], "}"]
            whose |= {len(out) + n: it.number for n in range(1, len(arm) + 1)}
            out += arm
        out += ["_ => {", *lines[first - 1 : last], "}", "}"]
        at = last + 1
    return "\n".join([*out, *lines[at - 1 :]]), whose, left


def write(
    tree: Path, mutants: Collection[Mutant], whole: dict[str, str]
) -> tuple[dict[str, dict[int, int]], list[Mutant]]:
    """Writes the files of these mutants, and the switch into their crates' roots; `whole`: each file as it was."""
    by_file: dict[str, list[Mutant]] = defaultdict(list)
    for it in mutants:
        by_file[it.file].append(it)
    whose: dict[str, dict[int, int]] = {}
    left: list[Mutant] = []
    # Also those whose last mutant was taken out again.
    for file, before in whole.items():
        text, whose[file], cannot = switched(before, by_file[file])
        left += cannot
        (tree / file).write_text(text)
    for root in {re.sub(r"/src/.*", "/src/lib.rs", file) for file in whole}:
        text = (tree / root).read_text()
        (tree / root).write_text(text if SWITCH in text else text + SWITCH)
    return whose, left

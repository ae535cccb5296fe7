"""The table of threats, of the catalogue's rows and the tests that name them in their docstrings.

Read by `tools/generate.py`. It imports no test: it reads their source.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.threats.catalogue import CATALOGUE, Row

ROOT = Path(__file__).resolve().parent.parent
ID = r"[A-Z]\d\d"
SPAN = re.compile(rf"\b({ID})(?: to ({ID}))?\b")


class Untested(SystemExit):
    """Rows without a test, or tests of rows that there are not; ends the generator with its sentence."""


def named(docstring: str) -> set[str]:
    """The ids in a docstring; `H01 to H04` is all four."""
    found = set()
    for first, last in SPAN.findall(docstring):
        letter, start, end = first[0], int(first[1:]), int((last or first)[1:])
        found |= {f"{letter}{n:02}" for n in range(start, end + 1)}
    return found


def tests_by_row() -> dict[str, list[tuple[str, str]]]:
    """For each id the tests that name it, as file and name, in order."""
    found: dict[str, list[tuple[str, str]]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test_"):
                continue
            for row in sorted(named(ast.get_docstring(node) or "")):
                found.setdefault(row, []).append((path.relative_to(ROOT).as_posix(), node.name))
    return found


def judge(rows: dict[str, Row], tests: dict[str, list[tuple[str, str]]]) -> None:
    """Raises `Untested` where the two do not fit."""
    lacking = [row for row, it in rows.items() if row not in tests and not it.waits_for]
    unknown = {row: names for row, names in tests.items() if row not in rows}
    if lacking:
        raise Untested(f"no test names {', '.join(lacking)} (tests/threats/catalogue.py)")
    if unknown:
        raise Untested(f"the catalogue has no {', '.join(unknown)}, which {next(iter(unknown.values()))[0][1]} names")


def page() -> str:
    rows = {row: it for group in CATALOGUE.values() for row, it in group.items()}
    tests = tests_by_row()
    judge(rows, tests)
    built = sum(not it.waits_for for it in rows.values())
    out = [
        "# What Everyhop withstands\n",
        f"{len(rows)} rows, {built} of them of features that there are; "
        f"{sum(len(tests.get(row, [])) for row in rows)} references by "
        f"{len({t for names in tests.values() for t in names})} tests. A row of a feature that there is cannot be without "
        "a test: the build fails. Each test judges at a recording backend what arrived there, and asks for something in "
        "order afterwards. What the boundary is and what lies outside: [the threat model](../explanation/threat-model.md).\n",
    ]
    for group, its in CATALOGUE.items():
        out.append(f"## {group}\n")
        for row, it in its.items():
            out.append(f"### {row}\n")
            out.append(f"**Sent**: {it.sent}.\n\n**Outcome**: {it.outcome}.\n\n**Source**: {it.source}.\n")
            if it.waits_for:
                out.append(f"Not built yet: {it.waits_for}.\n")
            for file, name in tests.get(row, []):
                sentence = name.removeprefix("test_").replace("_", " ")
                out.append(f"- [{sentence}](../../{file})")
            if row in tests:
                out.append("")
    return "\n".join(out).rstrip() + "\n"

"""Output that commands share: findings, colours only on a terminal, JSON."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from pathlib import Path
from typing import TextIO

from everyhop.files import read_text
from everyhop.refusals import Finding, merged, ordered, render, to_json
from everyhop.source import MOST_BYTES

CODES = {"red": "31", "green": "32", "yellow": "33", "dim": "2", "bold": "1"}


def colour(text: str, name: str, stream: TextIO | None = None) -> str:
    """`text` in a colour, if the stream is a terminal and NO_COLOR is not set."""
    to = stream or sys.stdout
    if not to.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{CODES[name]}m{text}\x1b[0m"


def texts_of(findings: list[Finding]) -> dict[str, str]:
    found: dict[str, str] = {}
    for finding in findings:
        for place in (finding.place, *finding.also):
            if place.file not in found:
                found[place.file] = read_text(Path(place.file), MOST_BYTES)
    return found


def report(findings: list[Finding], *, as_json: bool = False, strict: bool = False) -> bool:
    """Prints findings; true if any of them is a refusal."""
    shown = merged(findings, strict=strict)
    refused = sum(f.severity == "refused" for f in shown)
    if as_json:
        print(json.dumps({"findings": to_json(ordered(findings, strict=strict)), "refused": refused}, indent=2))
    elif shown:
        print(render(shown, texts_of(shown)), file=sys.stderr)
        warned = sum(f.severity == "warning" for f in shown)
        print(f"{refused} refused, {warned} warning(s)", file=sys.stderr)
    return refused > 0


def print_json(value: object) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def wrapped(text: str, indent: int = 0, first: str = "") -> str:
    """`text` broken at the terminal's width, further lines indented; `first` stands before it."""
    width = max(40, min(shutil.get_terminal_size((80, 24)).columns, 120))
    return textwrap.fill(
        text,
        width,
        initial_indent=first,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )

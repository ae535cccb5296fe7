"""Output that commands share: findings, and JSON. What reaches a screen is `everyhop/screen.py`'s business."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from everyhop.files import read_text
from everyhop.refusals import Finding, merged, ordered, render, to_json
from everyhop.screen import json_text, line, lines, width
from everyhop.source import MOST_BYTES


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
        print_json({"findings": to_json(ordered(findings, strict=strict)), "refused": refused})
    elif shown:
        lines(render(shown, texts_of(shown), width()), to=sys.stderr)
        warned = sum(f.severity == "warning" for f in shown)
        line(f"{refused} refused, {warned} warning(s)", to=sys.stderr)
    return refused > 0


def print_json(value: object) -> None:
    json_text(json.dumps(value, indent=2, ensure_ascii=False))

"""What is said of each case, word by word: beside NAME.case stands NAME.said, as a person reads it on the screen.

What differs from run to run stands there as a mark: `@today+000`, `@today+060`, `@hh:mm`, `@sha256`, `@folder/`. What a case
itself writes stays.
A change of it is to be read as a newcomer would: `EVERYHOP_WRITE_SAID=1 pytest tests/refusals`, then `git diff`.
"""

from __future__ import annotations

import datetime as dt
import os
import re
from pathlib import Path

WRITES = bool(os.environ.get("EVERYHOP_WRITE_SAID"))
DATE = re.compile(r"\b\d{4}-\d\d-\d\d\b")
HOUR = re.compile(r"(?<=@today.{4} )\d\d:\d\d(?= UTC)")
DIGEST = re.compile(r"\b[0-9a-f]{64}\b")


def lasting(text: str, folder: Path, today: dt.date, case: str) -> str:
    """`text` as it is on each machine and each day."""

    def date(found: re.Match[str]) -> str:
        # As wide as the date, so that marks below it still fit.
        return found[0] if found[0] in case else f"@today{(dt.date.fromisoformat(found[0]) - today).days:+04d}"

    # A place begins with the whole path; elsewhere a file is told as it is written.
    text = re.sub(rf"^{re.escape(str(folder))}/", "", text, flags=re.M).replace(f"{folder}/", "@folder/")
    text = DIGEST.sub(lambda found: found[0] if found[0] in case else "@sha256", text)
    return HOUR.sub("@hh:mm", DATE.sub(date, text))


def blocks(path: Path) -> dict[str, str]:
    """What is said of each case, by its head."""
    if not path.exists():
        return {}
    found = {}
    for block in re.split(r"^=== ", path.read_text(), flags=re.M)[1:]:
        head, _, said = block.partition("\n")
        found[head] = said
    return found


def write(path: Path, said: dict[str, str]) -> None:
    path.write_text("".join(f"=== {head}\n{text}" for head, text in said.items()))

"""Logs that somebody is still writing."""

from __future__ import annotations

from pathlib import Path


def whole_lines(log: Path) -> list[str]:
    """Its lines so far, none if there is no file yet. One counts once its end is there: a reader meets writes half done."""
    text = log.read_text(encoding="utf-8") if log.exists() else ""
    return text[: text.rfind("\n") + 1].splitlines()

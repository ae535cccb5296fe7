"""What is wrong now, in the words of a screen and of a page: the first thing that `status` says."""

from __future__ import annotations

import datetime as dt
from typing import Any

from everyhop.screen import Paint, beside, line


def troubles(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Of a supervisor's answer to `status`, the worst first."""
    supervisor = answer.get("supervisor")
    found = supervisor.get("troubles") if isinstance(supervisor, dict) else None
    return found if isinstance(found, list) else []


def told(it: dict[str, Any]) -> str:
    """One of them, as a sentence."""
    why = f" ({it['why']})" if it["why"] else ""
    return f"{it['about'] or 'the edge'}: {it['sentence'] or it['kind']}{why}; since {it['since']}  [{it['kind']}]"


def show(found: list[dict[str, Any]], now: dt.datetime) -> None:
    """The block; nothing wrong is one line."""
    if not found:
        line(Paint("nothing is wrong", "green"), f", as far as the edge knows at {now:%Y-%m-%dT%H:%M:%SZ}")
        return
    line(Paint(f"wrong now ({len(found)}), the worst first:", "red"))
    for it in found:
        first, *further = beside("  !! ", told(it)).split("\n")
        line("  ", Paint("!!", "red"), first.removeprefix("  !!"))
        for row in further:
            line(row)
    line()

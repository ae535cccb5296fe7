"""A plugin for pytest: who reads a log that is being written gets what was there half a second ago. `pytest -p tools.races.stale`."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import tests.kit.edge as edge
import tests.kit.logs as logs

LATE_S, STEP_S = 0.5, 0.05

sizes: dict[Path, list[tuple[float, int]]] = {}
"""Of each log that was asked for: when it was looked at, and how long it was."""


def watch() -> None:
    while True:
        now = time.monotonic()
        for log, seen in list(sizes.items()):
            if log.exists():
                seen.append((now, log.stat().st_size))
        time.sleep(STEP_S)


def stale(log: Path) -> list[str]:
    """Its lines of then. A log that was never asked for was empty."""
    then = time.monotonic() - LATE_S
    size = max((size for at, size in sizes.setdefault(log, []) if at <= then), default=0)
    text = log.read_bytes()[:size].decode("utf-8", "replace") if log.exists() else ""
    return text[: text.rfind("\n") + 1].splitlines()


def settled(all_lines: Any) -> Any:
    """Of an edge that has ended nothing comes late."""

    def read(self: edge.EdgeKit) -> Any:
        fresh, edge.whole_lines = edge.whole_lines, whole_lines  # type: ignore[attr-defined]
        try:
            return all_lines(self)
        finally:
            edge.whole_lines = fresh  # type: ignore[attr-defined]

    return read


whole_lines = logs.whole_lines
logs.whole_lines = stale
edge.whole_lines = stale  # type: ignore[attr-defined]
edge.EdgeKit.all_lines = settled(edge.EdgeKit.all_lines)  # type: ignore[method-assign]
threading.Thread(target=watch, daemon=True).start()

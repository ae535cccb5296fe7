"""Figures that a page says of the engine are those that are counted of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_reference_says_of_an_idle_connection_what_the_guard_counts() -> None:
    page = (ROOT / "docs/reference/configuration.md").read_text(encoding="utf-8")
    said = re.search(r"each holds some (\d+) KiB of the engine's memory when idle, (\d+) of HTTP/2", page)
    assert said
    counted = json.loads((ROOT / "bench/guard.json").read_text())["bytes, idle"]
    for kib, path in zip(said.groups(), ("HTTP/1.1, plaintext behind", "HTTP/2, plaintext behind"), strict=True):
        # What a log adds is left out of the count.
        assert abs(int(kib) - counted[path] / 1024) <= 1, path

"""Questions that are asked side by side, so that one without an answer holds up no other. What is asked is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

TOGETHER = 16
"""Questions under way at once."""
T = TypeVar("T")


def together(ask: Callable[[str], T], of: Sequence[str]) -> dict[str, T | OSError]:
    def one(name: str) -> T | OSError:
        try:
            return ask(name)
        except OSError as e:
            return e

    with ThreadPoolExecutor(TOGETHER) as pool:
        return dict(zip(of, pool.map(one, of), strict=True))

"""What is to be said of an identity or a revocation list that comes by itself, and how whoever asks for it waits after a failure."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

FIRST_S, MOST_S = 1.0, 300.0
"""After a failure, doubled from one to the next: whoever comes back is not met by all edges in one second."""
JITTER = 0.25


@dataclass(frozen=True)
class Standing:
    """Of one identity."""

    name: str
    by: str
    """From whom: `ca HOST:PORT`, or `spiffe unix:PATH`."""
    until: dt.datetime | None
    renewed_at: dt.datetime | None
    """`None` where whoever gives it decides."""
    next_try: dt.datetime
    problem: str | None


@dataclass(frozen=True)
class Fetched:
    """Of one revocation list."""

    url: str
    this_update: dt.datetime | None
    next_update: dt.datetime | None
    asked: dt.datetime | None
    """When it was had last, or was said to be the same."""
    next_try: dt.datetime
    problem: str | None

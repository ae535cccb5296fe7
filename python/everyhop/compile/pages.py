"""Files that the edge answers with: read whole by the supervisor, and small, since every engine holds them in memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from everyhop.files import read_regular
from everyhop.identity import Mark, Unusable
from everyhop.identity.mark import mark

MOST_BYTES = 64 * 1024
"""A page that says that something is not there; more than that is a site, and wants a server."""


@dataclass(frozen=True)
class Page:
    """What stands in the file."""

    data: bytes = field(repr=False)
    sha256: str
    files: dict[Path, Mark]


def read_page(label: str, base: Path) -> Page:
    """Raises `Unusable`."""
    path = base / label
    try:
        data, before = read_regular(path, MOST_BYTES)
    except (OSError, ValueError) as e:
        why = e.strerror if isinstance(e, OSError) else e
        mend = f"check the path, that everyhop may read it, and that it is at most {MOST_BYTES // 1024} KiB"
        raise Unusable("route/answer-file", f"{path}: {why}", mend) from e
    return Page(data, hashlib.sha256(data).hexdigest(), {path: mark(before)})

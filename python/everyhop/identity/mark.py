"""What tells whether a file is still the one that was read: without reading it again, and also where only those who may
read it have changed. Follows links, so one that leads elsewhere now counts as a change."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


class Mark(NamedTuple):
    device: int
    inode: int
    modified_ns: int
    size: int
    mode: int
    uid: int
    gid: int


def mark(it: os.stat_result) -> Mark:
    return Mark(it.st_dev, it.st_ino, it.st_mtime_ns, it.st_size, it.st_mode, it.st_uid, it.st_gid)


def mark_of(path: Path) -> Mark | None:
    """`None` for a file that is not there, or not for us."""
    try:
        return mark(path.stat())
    except OSError:
        return None

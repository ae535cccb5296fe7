"""Where the sockets lie."""

from __future__ import annotations

import os
from pathlib import Path


def runtime_dir() -> Path:
    """`/run/everyhop` for root, else a folder of the user's own."""
    if os.geteuid() == 0:
        return Path("/run/everyhop")
    given = os.environ.get("XDG_RUNTIME_DIR")
    return Path(given) / "everyhop" if given else Path(f"/tmp/everyhop-{os.geteuid()}")  # noqa: S108  (0700, ours)


def admin_socket(configured: str | None) -> Path:
    return Path(configured) if configured else runtime_dir() / "admin.sock"


def engine_socket(admin: Path) -> Path:
    """Beside the admin socket."""
    return admin.with_name(f"{admin.stem}.engine.sock")

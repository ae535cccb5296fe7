"""The last good configuration, kept in our runtime folder while a supervisor runs: if everything dies at once and the
file was broken meanwhile, what ran comes back. An orderly end removes it, so that whoever starts Everyhop by hand is
never served by a file that they did not write. It holds what the file holds: paths, no key. Keeps nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from everyhop.admin.paths import runtime_dir


class LastGood:
    """Of the file `config`, by which it is found: a broken file does not tell where its admin socket is."""

    def __init__(self, config: Path) -> None:
        self.config = str(config.absolute())
        self.path = runtime_dir() / f"last-good-{hashlib.sha256(os.fsencode(self.config)).hexdigest()[:16]}"

    def keep(self, text: str, included: Mapping[str, str] | None = None) -> None:
        """Replaces what was kept, wholly or not at all. A folder that cannot be written is no reason not to serve."""
        beside = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "w", encoding="utf-8", newline="") as out:
                out.write(json.dumps({"config": self.config, "text": text, "included": dict(included or {})}))
                out.flush()
                os.fsync(out.fileno())
            beside.replace(self.path)
        except OSError:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)

    def text(self) -> str | None:
        """The main file's part of what ran when everything died; `None` as `read`."""
        kept = self.read()
        return None if kept is None else kept[0]

    def read(self) -> tuple[str, dict[str, str]] | None:
        """What ran when everything died, and what that included; `None` if it ended in order, was another file, or belongs to
        someone else."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            with os.fdopen(fd, encoding="utf-8", newline="") as kept:
                if os.fstat(kept.fileno()).st_uid != os.geteuid():
                    return None
                found = json.load(kept)
            return (found["text"], found["included"]) if found["config"] == self.config else None
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def forget(self) -> None:
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

"""What somebody switched on a running edge, kept in our runtime folder: neither a supervisor nor an engine that is started
anew forgets it. It is of one configuration, and of us. Read next: `maintenance.py`, `drains.py`."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from everyhop.admin.paths import runtime_dir
from everyhop.admin.telling import say


class Kept:
    """A file of the folder. `kind` begins its name; `what` says in a sentence what it holds."""

    def __init__(self, config: Path, kind: str, what: str) -> None:
        self.config, self.what = str(config.absolute()), what
        self.path = runtime_dir() / f"{kind}-{hashlib.sha256(os.fsencode(self.config)).hexdigest()[:16]}"

    def keep(self, found: dict[str, Any]) -> None:
        """Replaces what was kept, wholly or not at all. A folder that cannot be written is told: then a start forgets it."""
        beside = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        try:
            if not found:
                self.forget()
                return
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "w", encoding="utf-8") as out:
                json.dump({"config": self.config, "kept": found}, out)
                out.flush()
                os.fsync(out.fileno())
            beside.replace(self.path)
        except OSError as e:
            say(f"{self.what} cannot be kept in {self.path} ({e.strerror}): the next start forgets it")
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)

    def found(self) -> dict[str, Any]:
        """What was kept; nothing where it was of another file, or belongs to somebody else.

        Raises `ValueError` for what is not what `keep` writes.
        """
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            with os.fdopen(fd, encoding="utf-8") as kept:
                if os.fstat(kept.fileno()).st_uid != os.geteuid():
                    return {}
                read = json.load(kept)
        except FileNotFoundError:
            return {}
        except OSError as e:
            raise ValueError(str(e)) from e
        if not isinstance(read, dict) or read.get("config") != self.config or not isinstance(read.get("kept"), dict):
            return {}
        return dict(read["kept"])

    def forget(self) -> None:
        try:
            self.path.unlink(missing_ok=True)
        except OSError:
            # Of a folder that is read-only the kernel says so before it looks for the file.
            if os.path.lexists(self.path):
                raise

    def unreadable(self, why: object) -> None:
        say(f"{self.what} cannot be read from {self.path}: {why}")

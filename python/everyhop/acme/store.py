"""What must outlive a restart, in one folder that nobody else reads: keys, certificates, orders, and what was last refused.

    accounts/ID/key.pem, account.json     of each authority; key.next.pem while its key is changed
    authorities.json                      which of them rest, and when orders were placed
    sites/SITE/state.json                 failures, the last problem, when to try again
    sites/SITE/KIND.pem                   what is in force: the key and its chain in one file, since two cannot be
    revocations/SERIAL.json, SERIAL.pem   what is taken back
    sites/SITE/KIND.next.pem, KIND.order  replaced in one step; the key and order under way

Every write is one step: whoever dies in it leaves what was there before. Read next: `keeper.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from everyhop.acme.problem import stopped
from everyhop.errors import Surroundings
from everyhop.files import synced

MOST_BYTES = 1 << 20
BESIDE = ".writing-"


class Store:
    """In `folder`, which is made if it is not there.

    Raises `Surroundings` where it can be read by others, belongs to somebody else or cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            seen = folder.stat()
            if not stat.S_ISDIR(seen.st_mode):
                raise Surroundings(f"{folder} is no folder")
            if seen.st_uid != os.geteuid():
                raise Surroundings(
                    f"{folder} belongs to somebody else (uid {seen.st_uid})", f"chown {os.geteuid()} {folder}"
                )
            if seen.st_mode & 0o077:
                mode = stat.S_IMODE(seen.st_mode)
                raise Surroundings(
                    f"{folder} holds keys and can be used by others (mode {mode:04o})", f"chmod 700 {folder}"
                )
            for left in folder.rglob(f"{BESIDE}*"):
                left.unlink()
        except OSError as e:
            raise Surroundings(f"cannot use {folder}: {e.strerror}") from e

    def where(self, name: str) -> str:
        return str(self.folder / name)

    def read(self, name: str) -> bytes | None:
        """What was last written, or nothing. Raises `Stopped`."""
        try:
            fd = os.open(self.folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as e:
            raise stopped("here", f"cannot read {self.where(name)}: {e.strerror}") from e
        try:
            with os.fdopen(fd, "rb") as file:
                seen = os.fstat(fd)
                if not stat.S_ISREG(seen.st_mode) or seen.st_mode & 0o077:
                    raise stopped("here", f"{self.where(name)} can be used by others, or is no file; chmod 600 it")
                return file.read(MOST_BYTES)
        except OSError as e:
            raise stopped("here", f"cannot read {self.where(name)}: {e.strerror}") from e

    def write(self, name: str, data: bytes) -> None:
        """All of it, on the disk, or nothing of it. Raises `Stopped`."""
        path = self.folder / name
        beside = path.with_name(f"{BESIDE}{secrets.token_hex(8)}")
        try:
            self.made(path.parent)
            fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, path)  # noqa: PTH105 -- beside fsync, as the system calls they are
            synced(path.parent)
        except OSError as e:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
            raise stopped("here", f"cannot write {path}: {e.strerror}") from e

    def made(self, folder: Path) -> None:
        """Each of the folders, and on the disk."""
        if not folder.exists():
            self.made(folder.parent)
            folder.mkdir(mode=0o700, exist_ok=True)
            synced(folder.parent)

    def remove(self, name: str) -> None:
        """Raises `Stopped`."""
        path = self.folder / name
        try:
            path.unlink(missing_ok=True)
            if path.parent.exists():
                synced(path.parent)
        except OSError as e:
            raise stopped("here", f"cannot remove {path}: {e.strerror}") from e

    def read_json(self, name: str) -> dict[str, Any] | None:
        """What is no JSON is nothing: it is never ours, since ours is written whole. Raises `Stopped`."""
        data = self.read(name)
        try:
            found = json.loads(data) if data is not None else None
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    def write_json(self, name: str, it: Mapping[str, Any]) -> None:
        self.write(name, json.dumps(it, indent=1).encode() + b"\n")

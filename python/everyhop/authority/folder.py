"""An authority's folder: nobody else may look into it, a file is replaced whole or not at all, and one process writes at a time."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from everyhop.errors import Surroundings
from everyhop.files import read_regular, synced

MOST_BYTES = 64 * 1024 * 1024
STATE, LOCK = "authority.json", "lock"
SECRET, PUBLIC = 0o600, 0o644


def closed(path: Path) -> None:
    """Raises `Surroundings` unless it is a folder of ours that nobody else can read or write."""
    try:
        it = path.stat()
    except OSError as e:
        raise Surroundings(f"{path}: {e.strerror}", "  make an authority there: everyhop ca init") from e
    if not stat.S_ISDIR(it.st_mode):
        raise Surroundings(f"{path} is no folder of an authority", "  make one: everyhop ca init")
    if it.st_uid != os.geteuid():
        raise Surroundings(
            f"{path} belongs to another user (uid {it.st_uid}), who could put in keys of their own; nothing was done",
            f"  act as that user, or own it: chown -R {os.geteuid()} {path}",
        )
    if it.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise Surroundings(
            f"{path} can be used by others (mode {stat.S_IMODE(it.st_mode):04o}), and holds an authority's keys; nothing was done",
            f"  close it: chmod 700 {path}",
            "  if others were on this machine meanwhile, its keys may be known: everyhop ca rotate",
        )


def secret(path: Path) -> bytes:
    """What stands in a file that nobody else can read.

    Raises `Surroundings`.
    """
    data = content(path)
    mode = path.stat().st_mode
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise Surroundings(
            f"{path} can be used by others (mode {stat.S_IMODE(mode):04o}); nothing was done", f"  chmod 600 {path}"
        )
    return data


def content(path: Path, most_bytes: int = MOST_BYTES) -> bytes:
    """Raises `Surroundings`."""
    try:
        return read_regular(path, most_bytes)[0]
    except (OSError, ValueError) as e:
        raise Surroundings(f"{path} cannot be read: {getattr(e, 'strerror', None) or e}") from e


def replace(path: Path, data: bytes, mode: int) -> None:
    """Puts `data` in the file's place in one step, on the disk before it has the name.

    Raises `Surroundings`, and then leaves what was there.
    """
    replace_all((path, data, mode))


def replace_all(*files: tuple[Path, bytes, int]) -> None:
    """The same of files that belong together, in one folder: all are on the disk before the first has its name.

    Raises `Surroundings`.
    """
    path, beside = files[0][0], []
    try:
        try:
            for path, data, mode in files:
                handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
                beside.append(Path(name))
                with os.fdopen(handle, "wb") as out:
                    os.fchmod(out.fileno(), mode)
                    out.write(data)
                    out.flush()
                    os.fsync(out.fileno())
            for it, (path, _, _) in zip(beside, files, strict=True):
                it.replace(path)
        finally:
            for it in beside:
                it.unlink(missing_ok=True)
        synced(path.parent)
    except OSError as e:
        raise Surroundings(f"cannot write {path}: {e.strerror}") from e


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Others who would write wait meanwhile. The kernel lets go of it, however we end.

    Raises `Surroundings` where the lock cannot be opened, as on a disk that is read-only by now.
    """
    try:
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, SECRET)
    except OSError as e:
        raise Surroundings(f"cannot write {folder / LOCK}: {e.strerror}; nothing was done") from e
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def state(folder: Path) -> dict[str, Any]:
    """What the authority is and which of its roots are in use.

    Raises `Surroundings`.
    """
    path = folder / STATE
    if not path.exists():
        raise Surroundings(f"{folder} holds no authority", "  make one: everyhop ca init")
    try:
        found: dict[str, Any] = json.loads(secret(path))
    except ValueError as e:
        raise Surroundings(f"{path} is damaged: {e}", "  put back the last copy of it") from e
    return found


def as_json(value: object) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()

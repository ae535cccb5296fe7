"""Files that somebody named: read whole, bounded, and never waited for; and replaced in one step.

A pipe that nobody writes to would hold the supervisor for ever, and a device may do something as it is opened. So only
regular files are opened, and what stands behind the name is asked before and after. Read next: `identity`, `source`.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from everyhop.errors import Surroundings

ROOM_BYTES = 64 * 1024
"""More than a certificate takes with its key, roots and lists, as most have them."""
KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def read_regular(path: Path, most_bytes: int) -> tuple[bytes, os.stat_result]:
    """What stands in the file, and what it was before that was read.

    Raises `OSError`, whose `strerror` says why, and `ValueError` for a name that no file can have.
    """
    must_be_regular(path.stat())
    # Without O_NONBLOCK a pipe that took the file's place since then would be waited for.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC), "rb") as file:
        before = os.fstat(file.fileno())
        must_be_regular(before)
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise OSError(errno.EFBIG, f"it is larger than {most_bytes} bytes")
    return data, before


def read_text(path: Path, most_bytes: int) -> str:
    """What stands in the file, with `?` for what is no UTF-8; nothing where it cannot be read."""
    try:
        return read_regular(path, most_bytes)[0].decode(errors="replace")
    except (OSError, ValueError):
        return ""


def must_be_regular(it: os.stat_result) -> None:
    """Raises `OSError` for whatever is no regular file."""
    if not stat.S_ISREG(it.st_mode):
        raise OSError(errno.EINVAL, f"it is {KINDS.get(stat.S_IFMT(it.st_mode), 'something else')} and no file")


def synced(folder: Path) -> None:
    """A name is on the disk when its folder is. Raises `OSError`."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def must_take(folder: Path) -> None:
    """Asked before what is given once: whether the folder takes a file of `ROOM_BYTES`, which is written there and is gone again.

    Raises `Surroundings`.
    """
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".room-") as out:
            # Some file systems keep zeros for nothing.
            out.write(os.urandom(ROOM_BYTES))
            out.flush()
            os.fsync(out.fileno())
    except OSError as e:
        raise Surroundings(f"cannot write in {folder}: {e.strerror}; nothing was asked") from e


def replace_text(path: Path, text: str, judge: Callable[[Path], object] | None = None) -> None:
    """Puts `text` in the file's place in one step, on the disk before it has the name, with its mode and owner; where the name is a
    link, where that leads.
    `judge` is first asked of the new text, in a file beside the old one; what it raises leaves that as it was.

    Raises `Surroundings`.
    """
    try:
        path = path.resolve(strict=True)
        before = path.stat()
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    except OSError as e:
        raise Surroundings(f"cannot write {path}: {e.strerror}") from e
    beside = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        if judge is not None:
            judge(beside)
        if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
            os.chown(beside, before.st_uid, before.st_gid)
        beside.chmod(stat.S_IMODE(before.st_mode))
        beside.replace(path)
        synced(path.parent)
    except OSError as e:
        raise Surroundings(f"cannot write {path}: {e.strerror}") from e
    finally:
        beside.unlink(missing_ok=True)

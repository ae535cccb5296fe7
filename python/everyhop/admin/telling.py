"""What the supervisor says, on its standard error. Whoever reads that may leave, or stop reading: nothing here raises,
and nothing here waits for them. A line that nobody takes is lost."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import select
from collections.abc import Iterable
from pathlib import Path

from everyhop.files import read_text
from everyhop.refusals import Finding, merged, render
from everyhop.screen import block, printable
from everyhop.source import MOST_BYTES

STDERR = 2
PATIENCE_MS = 200
PIECE = 4096
"""What a pipe that can be written takes without waiting: PIPE_BUF, pipe(7)."""


def say(text: str) -> None:
    put(f"{stamp()}everyhop: {printable(text)}\n")


def stamp() -> str:
    """The moment, in front of a line; nothing where somebody else writes one there."""
    return f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ} " if Times.wanted() else ""


class Times:
    """Whether lines begin with one."""

    said: bool | None = None
    """On the command line; `None`: unless the journal writes its own."""

    @classmethod
    def wanted(cls) -> bool:
        if cls.said is None:
            cls.said = not is_journal()
        return cls.said


def is_journal(fd: int = STDERR) -> bool:
    """Whether our lines go to systemd's journal, by device and inode (`systemd.exec(5)`, `$JOURNAL_STREAM`): the variable
    is inherited also by who writes elsewhere."""
    try:
        found = os.fstat(fd)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def tell(findings: list[Finding], path: Path, text: str | None) -> None:
    """The findings of `path`, with excerpts of the text that they were found in."""
    if findings:
        texts = {it.file: current(Path(it.file)) for f in findings for it in (f.place, *f.also) if it.file != str(path)}
        told = render(merged(findings), {**texts, str(path): current(path) if text is None else text})
        put("".join(f"{stamp()}{row}\n" if row else "" for row in told.split("\n")))


def current(path: Path) -> str:
    """What stands there now, of a text that could not be read as one."""
    return read_text(path, MOST_BYTES)


def put(text: str, fd: int = STDERR) -> None:
    """Written past Python's buffers, which would keep what could not be written and fail again at the end."""
    data = block(text).encode(errors="replace")
    with contextlib.suppress(OSError, ValueError):
        for piece in pieces(data):
            ready = select.poll()
            ready.register(fd, select.POLLOUT)
            if not ready.poll(PATIENCE_MS):
                return
            os.write(fd, piece)


def pieces(data: bytes) -> Iterable[bytes]:
    return (data[at : at + PIECE] for at in range(0, len(data), PIECE))

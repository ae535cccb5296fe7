"""What a person reads on a screen, in a log or on a page: the one place where text of others is made harmless.

A name, a path or a certificate's subject may hold what moves a cursor, turns letters round, or begins a line of its own.
Whatever is not plainly printable is written as its number (`\\x1b`, `\\u202e`). Nothing else of Everyhop prints: a test
holds that. `crates/record/src/printable.rs` is the same for what the engine says.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import os
import re
import shutil
import sys
import textwrap
from typing import NamedTuple, TextIO

CODES = {"red": "31", "green": "32", "yellow": "33", "dim": "2", "bold": "1"}
NARROWEST, WIDEST = 40, 160


class Unwritten(Exception):
    """Standard output cannot be written, and why: the disk is full, say."""

    def __init__(self, why: OSError) -> None:
        super().__init__(f"cannot write to standard output: {why.strerror or why}")


class Paint(NamedTuple):
    """Text in a colour, where the stream is a terminal and NO_COLOR is not set; without colour it says the same."""

    text: str
    colour: str


Part = str | Paint


def printable(text: str) -> str:
    """`text` on one line, with everything that is more than a letter on it written as its number."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def block(text: str) -> str:
    """As `printable`, of what is meant to be several lines."""
    return "\n".join(map(printable, text.split("\n")))


def in_json(text: str) -> str:
    """JSON text that says the same to a program, and to a screen nothing that it would obey."""
    if text.isascii() and "\x7f" not in text:
        return text
    return "".join(c if c == "\n" or c.isprintable() else escaped_json(c) for c in text)


def escaped_json(c: str) -> str:
    pair = c.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{pair[i : i + 4]}" for i in range(0, len(pair), 4))


def is_coloured(to: TextIO) -> bool:
    return to.isatty() and not os.environ.get("NO_COLOR")


def painted(parts: tuple[Part, ...], to: TextIO) -> str:
    """The parts as one line for `to`."""
    if not is_coloured(to):
        return "".join(printable(p.text if isinstance(p, Paint) else p) for p in parts)
    return "".join(
        f"\x1b[{CODES[p.colour]}m{printable(p.text)}\x1b[0m" if isinstance(p, Paint) else printable(p) for p in parts
    )


def line(*parts: Part, to: TextIO | None = None, flush: bool = False) -> None:
    """Prints one line: whatever the parts hold, it is one."""
    stream = to or sys.stdout
    put(painted(parts, stream), stream, flush=flush)


def lines(text: str, to: TextIO | None = None) -> None:
    """Prints a text that is several lines on purpose."""
    put(block(text), to or sys.stdout)


def json_text(text: str) -> None:
    put(in_json(text), sys.stdout)


def exact(text: str) -> None:
    """Byte for byte, for who hashes or parses it; on a terminal as JSON that it does not obey."""
    put(in_json(text) if sys.stdout.isatty() else text, sys.stdout)


def put(text: str, stream: TextIO, *, flush: bool = False) -> None:
    """Prints it. Where standard error cannot be written, what it would have told is lost, and changes nothing else.

    Raises `Unwritten` where standard output cannot be written, and `BrokenPipeError` where its reader left.
    """
    try:
        print(text, file=stream, flush=flush)
    except BrokenPipeError:
        raise
    except OSError as e:
        if stream is sys.stdout:
            raise Unwritten(e) from e
        if stream is not sys.stderr:
            raise


def flushed() -> None:
    """What was printed is written.

    Raises `Unwritten` where it cannot be; a reader that left is nothing of that.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        pass
    except OSError as e:
        raise Unwritten(e) from e


def few(parts: list[str], most: int = 3) -> str:
    """The first of them in words, and how many more there are."""
    rest = len(parts) - most
    # One more is as short as to say so.
    return ", ".join(parts) if rest <= 1 else f"{', '.join(parts[:most])} and {rest} more"


def ahead(left: dt.timedelta) -> str:
    """How far away, in whole days: `in 3 days`."""
    days = f"{left.days} day{'' if left.days == 1 else 's'}" if left.days else "less than a day"
    return f"in {days}"


def width() -> int:
    """How wide the terminal is, within what can be read."""
    return max(NARROWEST, min(shutil.get_terminal_size((80, 24)).columns, WIDEST))


def wrapped(text: str, indent: int = 0, first: str = "", most: int | None = None) -> str:
    """`text` broken between words, further lines indented; `first` stands before it. A word stays whole."""
    return textwrap.fill(
        printable(text),
        most or width(),
        initial_indent=first,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def beside(head: str, text: str, most: int | None = None) -> str:
    """`text` wrapped beside `head`, which stands before its first line."""
    return wrapped(text, len(head), head, most)


def paint_all(text: str, mark: re.Pattern[str], colour: str) -> tuple[Part, ...]:
    """`text` with everything that `mark` finds in `colour`."""
    parts: list[Part] = []
    at = 0
    for found in mark.finditer(text):
        parts += [text[at : found.start()], Paint(found[0], colour)]
        at = found.end()
    return (*parts, text[at:])


def ready() -> None:
    """Streams that were closed by who started us lead nowhere, so that no other file takes their numbers, here or in what we start.
    Those that have no letter for something say its number instead of failing."""
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        if not is_open(fd):
            # The lowest number that is free: this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(fd, "w" if fd else "r", encoding="utf-8", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError as e:
        return e.errno != errno.EBADF
    return True

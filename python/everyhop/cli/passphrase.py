"""A passphrase: out of a file that nobody else reads, or from who sits there. Never an argument, which others on the machine could read."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path

from everyhop.authority.folder import secret
from everyhop.errors import Misuse

LEAST, LONGEST = 12, 1023  # OpenSSL reads no more of one
"""Whoever has the file may try as many a second as he has machines."""


def chosen(file: Path | None) -> bytes:
    """A new one: asked for twice.

    Raises `Misuse` for one that is short.
    """
    given = asked(file, twice=True)
    if len(given) < LEAST:
        raise Misuse(f"a root's passphrase has {LEAST} letters at least; nothing was made")
    return given


def asked(file: Path | None, *, twice: bool = False) -> bytes:
    """The one that was chosen before.

    Raises `Misuse`, and `Surroundings` for a file that others can read.
    """
    if file is not None:
        given = secret(file).decode(errors="surrogateescape")
    elif sys.stdin.isatty():
        given = getpass.getpass("passphrase of the root: ")
        if twice and getpass.getpass("the same again: ") != given:
            raise Misuse("these were two passphrases; nothing was made")
    else:
        given = sys.stdin.read(4 * LONGEST)
    given = given.removesuffix("\n").removesuffix("\r")
    if not given or len(given) > LONGEST or "\n" in given:
        raise Misuse(f"a passphrase is one line of 1 to {LONGEST} letters; nothing was made")
    return given.encode(errors="surrogateescape")

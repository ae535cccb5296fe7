"""`everyhop password NAME`: asks for a password and writes the line that a file of users has for it. It is never an argument,
which others on the machine could read, and never kept."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated

import typer

from everyhop.errors import Misuse
from everyhop.screen import exact

LONGEST = 1024


def register(app: typer.Typer) -> None:
    app.command("password", help="Ask for a password; print its line for a file of users (basic).")(password)


def password(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who signs in by it; any text without a colon.")],
) -> None:
    from everyhop import _door

    given = asked()
    users, wrong = _door.judge_users(f"{name}:{(hashed := _door.hash_password(given.encode()))}\n")
    if wrong or [it[0] for it in users] != [name]:
        raise Misuse(f"{name!r} is no name of a user: no colon, no control characters, no blanks around it, no # first")
    exact(f"{name}:{hashed}")


def asked() -> str:
    """From who sits there, twice; or the one line of standard input."""
    if sys.stdin.isatty():
        given = getpass.getpass("password: ")
        if getpass.getpass("the same again: ") != given:
            raise Misuse("these were two passwords; nothing was made")
    else:
        given = sys.stdin.read(LONGEST * 4 + 2)
        given = given.removesuffix("\n").removesuffix("\r")
    if not given:
        raise Misuse("an empty password lets anybody in who knows the name; nothing was made")
    if len(given) > LONGEST or any(not c.isprintable() for c in given):
        raise Misuse(f"a password is one line of at most {LONGEST} signs, without control characters")
    return given

"""`everyhop fmt`: a configuration in one form. What it says and every comment stay; only how it is written changes."""

from __future__ import annotations

import difflib
import sys
import tomllib
from pathlib import Path
from typing import Annotated

import typer

from everyhop.compile.reading import read_document
from everyhop.errors import EveryhopError, Misuse
from everyhop.files import replace_text
from everyhop.screen import exact, line, lines
from everyhop.source import find
from everyhop.source.toml_form import formed

STDIN = "-"


def register(app: typer.Typer) -> None:
    app.command("fmt", help="Write a configuration in its one form; comments and meaning stay.")(fmt)


def fmt(
    file: Annotated[
        str | None,
        typer.Argument(help="Configuration, or - from standard input to standard output.", show_default=False),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Change nothing; show what would, and exit with 1.")] = False,
) -> None:
    if file == STDIN:
        path, given = Path("everyhop.toml"), sys.stdin.read()
    else:
        path, given = find(file), None
    document = read_document(path, given)
    if document.yaml:
        raise Misuse(f"{path} is YAML; fmt knows the form of TOML alone")
    text = in_form(document.text)
    if check:
        if text == document.text:
            return
        shown = difflib.unified_diff(document.text.splitlines(), text.splitlines(), str(path), str(path), lineterm="")
        lines("\n".join(shown))
        raise typer.Exit(1)
    if file == STDIN:
        exact(text.removesuffix("\n"))
    elif text == document.text:
        line(f"{path} is in its form")
    else:
        replace_text(path, text)
        line(f"{path} is in its form now")


def in_form(text: str) -> str:
    """Raises `EveryhopError` where it would say something else than before; nothing has been written then."""
    try:
        found = formed(text)
        kept = tomllib.loads(found) == tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise EveryhopError(f"what fmt would write is no TOML ({e}); nothing was written") from e
    if not kept:
        raise EveryhopError("what fmt would write says something else; nothing was written")
    return found

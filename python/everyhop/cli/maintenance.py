"""`everyhop maintenance ROUTE --until TIME`: the running edge answers 503 for a route itself, until then or `--off`."""

from __future__ import annotations

import datetime as dt
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from everyhop.admin import Client
from everyhop.cli.console import print_json
from everyhop.cli.options import Config
from everyhop.compile.kinds_of_file import kind_of
from everyhop.compile.pages import MOST_BYTES
from everyhop.errors import Misuse
from everyhop.files import read_regular
from everyhop.screen import beside, line

UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def register(app: typer.Typer) -> None:
    app.command("maintenance", help="Have the running edge answer 503 for a route, until a moment or --off.")(
        maintenance
    )


def maintenance(
    route: Annotated[str, typer.Argument(metavar="ROUTE", help="By its name.")],
    until: Annotated[
        str | None,
        typer.Option(
            "--until", metavar="TIME", help="Such as 30m, 2h, 1d or 2026-12-01T06:00 (UTC).", show_default=False
        ),
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="Ends it now.")] = False,
    text: Annotated[
        str | None, typer.Option("--text", help="What clients are told, as plain text.", show_default=False)
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option("--page", metavar="FILE", help="What clients are told, as a page of HTML.", show_default=False),
    ] = None,
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    if off == (until is not None):
        raise Misuse("say --until TIME or --off, one of the two")
    ends = moment(until, dt.datetime.now(dt.UTC)).isoformat() if until is not None else None
    if page is not None and (off or text is not None):
        raise Misuse("--page stands beside --until, and in the place of --text")
    told = text if page is None else read_html(page)
    answer = Client(config).ask("maintenance", route=route, until=ends, text=told, html=page is not None)
    switched = answer.get("switched")
    if as_json:
        print_json(answer)
    elif switched:
        line(f"route {route} answers 503 until {answer['until']}" if answer["until"] else f"route {route} is back")
    else:
        line("nothing changed", to=sys.stderr)
        for row in beside("  ", str(answer.get("why"))).split("\n"):
            line(row, to=sys.stderr)
    raise typer.Exit(0 if switched else 1)


def read_html(page: Path) -> str:
    """What stands in the file, which is read now and not again: what is answered does not hang on it any more.

    Raises `Misuse`.
    """
    if not kind_of(page.name).startswith("text/html"):
        raise Misuse(f"--page takes a page of HTML, by its name: down.html, not {page.name!r}")
    try:
        text = read_regular(page, MOST_BYTES)[0].decode()
    except UnicodeDecodeError as e:
        raise Misuse(f"--page: {page} is no text in UTF-8: its byte {e.start} is none") from e
    except (OSError, ValueError) as e:
        why = e.strerror if isinstance(e, OSError) else e
        raise Misuse(f"--page: {page}: {why}; a page is a file of {MOST_BYTES // 1024} KiB at most") from e
    if not text.strip() or "\0" in text:
        raise Misuse(f"--page: {page} {'has a zero byte' if text.strip() else 'is empty'}: it is no page")
    return text


def moment(text: str, now: dt.datetime) -> dt.datetime:
    """A time from now, or a moment; without a zone it is UTC.

    Raises `Misuse`.
    """
    if (found := re.fullmatch(r"([0-9]{1,6})([mhd])", text)) is not None:
        return (now + dt.timedelta(**{UNITS[found[2]]: int(found[1])})).replace(microsecond=0)
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError as e:
        raise Misuse(f"--until takes 30m, 2h, 1d or 2026-12-01T06:00, not {text!r}") from e
    return at if at.tzinfo else at.replace(tzinfo=dt.UTC)

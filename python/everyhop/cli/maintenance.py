"""`everyhop maintenance ROUTE --until TIME`: the running edge answers 503 for a route itself, until then or `--off`."""

from __future__ import annotations

import datetime as dt
import re
import sys
from typing import Annotated

import typer

from everyhop.admin import Client
from everyhop.cli.console import print_json
from everyhop.cli.options import Config
from everyhop.errors import Misuse
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
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    if off == (until is not None):
        raise Misuse("say --until TIME or --off, one of the two")
    ends = moment(until, dt.datetime.now(dt.UTC)).isoformat() if until is not None else None
    answer = Client(config).ask("maintenance", route=route, until=ends, text=text)
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

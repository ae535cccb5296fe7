"""`everyhop drain ROUTE ADDRESS`: a backend of the running edge takes nothing new, until `--off`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from everyhop.admin import Client
from everyhop.cli.console import print_json
from everyhop.cli.options import Config
from everyhop.errors import Misuse
from everyhop.screen import beside, line


def register(app: typer.Typer) -> None:
    app.command("drain", help="Send a backend of the running edge nothing new, until --off.")(drain)


def drain(
    route: Annotated[str, typer.Argument(metavar="ROUTE", help="By its name.")],
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Of the backend, as the file has it.")],
    off: Annotated[bool, typer.Option("--off", help="It takes its share again.")] = False,
    last_too: Annotated[
        bool, typer.Option("--last-too", help="Even if no other backend is left: the route's requests are refused.")
    ] = False,
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    if off and last_too:
        raise Misuse("--last-too is of a drain that begins, and --off ends one")
    answer = Client(config).ask("drain", route=route, at=address, off=off, last_too=last_too)
    switched = answer.get("switched")
    if as_json:
        print_json(answer)
    elif switched:
        line(said(answer))
    else:
        line("nothing changed", to=sys.stderr)
        for row in beside("  ", str(answer.get("why"))).split("\n"):
            line(row, to=sys.stderr)
        if "is the last backend" in str(answer.get("why")):
            line("  --last-too does it all the same", to=sys.stderr)
    raise typer.Exit(0 if switched else 1)


def said(answer: dict[str, object]) -> str:
    if not answer["drained"]:
        return f"{answer['at']} of route {answer['route']} takes its share again"
    first = f"{answer['at']} of route {answer['route']} takes nothing new; what is under way there goes on to its end"
    return first if answer["left"] else f"{first}. No other backend takes anything: requests are refused"

"""`everyhop upgrade`: asks the supervisor to have the engine that is installed now take over. One that fails changes nothing."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from everyhop.admin import Client
from everyhop.cli.console import print_json
from everyhop.cli.options import Config
from everyhop.screen import beside, line


def register(app: typer.Typer) -> None:
    app.command("upgrade", help="Have the engine that is installed now take over, without losing a connection.")(
        upgrade
    )


def upgrade(
    config: Config = None, as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False
) -> None:
    answer = Client(config).ask("upgrade")
    upgraded = answer.get("upgraded")
    if as_json:
        print_json(answer)
    elif upgraded:
        line(f"upgraded: engine {answer['version']}, pid {answer['pid']}; pid {answer['before']} ends what it carries")
    else:
        line(f"not upgraded; the engine with pid {answer.get('before')} goes on", to=sys.stderr)
        for row in beside("  ", str(answer.get("why"))).split("\n"):
            line(row, to=sys.stderr)
    raise typer.Exit(0 if upgraded else 1)

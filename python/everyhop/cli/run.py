"""`everyhop run`: the supervisor in the foreground. SIGHUP reloads, SIGTERM drains and stops, SIGUSR1 reopens the log,
SIGUSR2 has another engine take over."""

from __future__ import annotations

from typing import Annotated

import typer

from everyhop.admin.supervisor import Supervisor
from everyhop.admin.telling import Times
from everyhop.cli.options import Config
from everyhop.source import find


def register(app: typer.Typer) -> None:
    app.command("run", help="Run the edge in the foreground: reload with SIGHUP, drain and stop with SIGTERM.")(run)


def run(
    config: Config = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit instead of closing routes whose dates are over.")
    ] = False,
    times: Annotated[
        bool | None,
        typer.Option(
            "--times/--no-times", help="A time before each line; default: not in systemd's journal.", show_default=False
        ),
    ] = None,
) -> None:
    Times.said = times
    raise typer.Exit(Supervisor(find(config), strict=strict).run())

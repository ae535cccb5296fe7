"""`everyhop run`: the supervisor in the foreground. SIGHUP reloads, SIGTERM drains and stops, SIGUSR1 reopens the log,
SIGUSR2 has another engine take over."""

from __future__ import annotations

from typing import Annotated

import typer

from everyhop.admin.supervisor import Supervisor
from everyhop.admin.telling import Times
from everyhop.cli.options import Config
from everyhop.compile.names import ZONE
from everyhop.errors import Misuse
from everyhop.source import find


def register(app: typer.Typer) -> None:
    app.command("run", help="Run the edge in the foreground: reload with SIGHUP, drain and stop with SIGTERM.")(run)


def run(
    config: Config = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit instead of closing routes whose dates are over.")
    ] = False,
    zone: Annotated[
        str | None,
        typer.Option(
            "--zone",
            envvar="EVERYHOP_ZONE",
            help="Where this edge is: its backends there come first. Goes before [engine] zone.",
            show_default=False,
        ),
    ] = None,
    times: Annotated[
        bool | None,
        typer.Option(
            "--times/--no-times", help="A time before each line; default: not in systemd's journal.", show_default=False
        ),
    ] = None,
) -> None:
    Times.said = times
    zone = zone or None  # an empty variable is none
    if zone is not None and not ZONE.fullmatch(zone):
        raise Misuse(f"--zone and EVERYHOP_ZONE take a name such as eu-west-1a, not {zone!r}")
    raise typer.Exit(Supervisor(find(config), strict=strict, zone=zone).run())

"""`everyhop demo`: the argument, acted out on this machine with throw-away certificates and real traffic."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    app.command("demo", help="See the four patterns on one port, with real traffic.")(demo)


def demo(
    once: Annotated[bool, typer.Option("--once", help="End after the acts instead of staying up.")] = False,
    write: Annotated[
        Path | None,
        typer.Option(
            "--write",
            metavar="DIR",
            help="Leave configuration, certificates and backends to play with.",
            show_default=False,
        ),
    ] = None,
    port: Annotated[
        int, typer.Option("--port", help="Port of the edge; default: a free one, and 8443 with --write.")
    ] = 0,
) -> None:
    from everyhop.demo import play, write_to

    if write is not None:
        write_to(write, port or 8443)
        return
    raise typer.Exit(play(once=once, port=port))

"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

Config = Annotated[
    str | None, typer.Option("--config", help="Configuration; default as for check.", show_default=False)
]

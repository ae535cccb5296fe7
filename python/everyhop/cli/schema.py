"""`everyhop schema`: the configuration's JSON Schema, for editors."""

from __future__ import annotations

import typer

from everyhop.cli.console import print_json
from everyhop.model import Config
from everyhop.model.base import Section
from everyhop.model.descriptions import with_descriptions


def register(app: typer.Typer) -> None:
    app.command("schema", help="Print the configuration's JSON Schema, for editors.")(schema)


def config_schema() -> dict[str, object]:
    with_descriptions(Section)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "everyhop.toml",
        **Config.model_json_schema(),
    }


def schema() -> None:
    print_json(config_schema())

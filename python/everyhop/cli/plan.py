"""`everyhop plan`: the effective configuration, every default filled in, and where each value came from."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from pydantic import BaseModel

from everyhop.cli.check import File
from everyhop.cli.console import print_json
from everyhop.compile import compile_file
from everyhop.compile.reading import dotted, read
from everyhop.screen import exact, line
from everyhop.source import Document, find


def register(app: typer.Typer) -> None:
    app.command("plan", help="The effective configuration, with where each value came from; or the compiled plan.")(
        plan
    )


def plan(
    file: File = None,
    compiled: Annotated[bool, typer.Option("--compiled", help="The canonical plan that the engine runs.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    path = find(file)
    made = compile_file(path, files="if-there", past_dates="close")
    if compiled:
        exact(made.plan_json)
        if made.reservation:
            line(f"this plan's digest is{made.reservation}", to=sys.stderr)
        return
    document, config = read(path, made.text)
    values = [(dotted(key), value, origin) for key, value, origin in effective(config, document)]
    if as_json:
        print_json(
            {
                "file": str(path),
                "plan_digest": made.plan_digest,
                "plan_digest_comparable": made.comparable,
                "values": [{"key": k, "value": v, "from": o} for k, v, o in values],
            }
        )
        return
    width = min(max(len(f"{k} = {json.dumps(v, default=str)}") for k, v, _ in values), 60)
    for key, value, origin in values:
        line(f"{f'{key} = {json.dumps(value, default=str)}'.ljust(width)}  {origin}")
    line(f"plan {made.plan_digest}{made.reservation}")


def effective(
    config: BaseModel, document: Document, at: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], Any, str]]:
    """Every value with its path and `file:line:column`, or `default`."""
    for name in type(config).model_fields:
        value = getattr(config, name)
        key = (*at, name)
        given = name in config.model_fields_set
        if isinstance(value, BaseModel):
            yield from effective(value, document, key)
        elif isinstance(value, list) and any(isinstance(v, BaseModel) for v in value):
            for index, item in enumerate(value):
                if isinstance(item, BaseModel):
                    yield from effective(item, document, (*key, index))
                else:
                    yield (*key, index), item, str(document.place((*key, index)))
        elif value is not None:
            yield key, value, str(document.place(key)) if given else "default"

"""`everyhop reload`: asks the supervisor to read its configuration anew. A refused one changes nothing."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from everyhop.admin import Client
from everyhop.cli.console import print_json
from everyhop.cli.options import Config
from everyhop.refusals import part
from everyhop.screen import beside, line, width


def register(app: typer.Typer) -> None:
    app.command("reload", help="Have the running edge read its configuration anew.")(reload)


def reload(
    config: Config = None, as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False
) -> None:
    answer = Client(config).ask("reload")
    reloaded, digest = answer.get("reloaded"), str(answer.get("plan_digest"))[:16]
    if as_json:
        print_json(answer)
    elif reloaded:
        line(f"reloaded, plan {digest}")
    else:
        told = [f"not reloaded; plan {digest} keeps running"]
        if answer.get("why"):
            told += beside("  ", str(answer["why"])).split("\n")
        findings = answer.get("findings")
        for it in findings if isinstance(findings, list) else []:
            place = f"{it['file']}:{it['line']}:{it['column']}"
            told += part("", f"{place}: {it['severity']} [{it['slug']}] {it['what']}", width())
            for index, mend in enumerate(it["mend"]):
                told += part("  mend  " if index == 0 else "        or ", mend, width())
        for row in told:
            line(row, to=sys.stderr)
    raise typer.Exit(0 if reloaded else 1)

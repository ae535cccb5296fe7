"""`everyhop reload`: asks the supervisor to read its configuration anew. A refused one changes nothing."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from everyhop.admin import Client
from everyhop.cli.console import print_json
from everyhop.cli.run import Config


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
        print(f"reloaded, plan {digest}")
    else:
        print(f"not reloaded; plan {digest} keeps running", file=sys.stderr)
        if answer.get("why"):
            print(f"  {answer['why']}", file=sys.stderr)
        findings = answer.get("findings")
        for it in findings if isinstance(findings, list) else []:
            print(
                f"{it['file']}:{it['line']}:{it['column']}: {it['severity']} [{it['slug']}] {it['what']}",
                file=sys.stderr,
            )
            print(f"  mend  {it['mend'][0]}", file=sys.stderr)
    raise typer.Exit(0 if reloaded else 1)

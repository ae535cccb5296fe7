"""`everyhop migrate ROUTE`: shows which backends of a route answer by mutual TLS already; `--apply` moves them to it one by one, and
`--back` puts the route back as it was."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from everyhop.admin import Client
from everyhop.admin.client import NotThere
from everyhop.cli.console import print_json
from everyhop.cli.options import Config
from everyhop.errors import Misuse
from everyhop.migrate import Asked, Migration
from everyhop.migrate.steps import Standing
from everyhop.screen import Paint, beside, line
from everyhop.source import find


def register(app: typer.Typer) -> None:
    app.command("migrate", help="Take a route's backends to mutual TLS, one by one, while it serves.")(migrate)


def migrate(
    route: Annotated[str, typer.Argument(metavar="ROUTE", help="By its name.")],
    apply: Annotated[
        bool, typer.Option("--apply", help="Do it: move, reload, watch, and go back what does worse.")
    ] = False,
    back: Annotated[bool, typer.Option("--back", help="Put the route back as it was before.")] = False,
    watch: Annotated[
        float, typer.Option("--watch", metavar="SECONDS", help="How long each moved backend is watched.", min=0)
    ] = 30.0,
    to_port: Annotated[
        int | None,
        typer.Option(
            "--to-port", help="Where they speak TLS, if not at the same port.", show_default=False, min=1, max=65535
        ),
    ] = None,
    present: Annotated[
        str | None,
        typer.Option(
            "--present", metavar="IDENTITY", help="What we show; default: the only identity.", show_default=False
        ),
    ] = None,
    ca: Annotated[
        str | None,
        typer.Option("--ca", metavar="FILE", help="Roots by which they are believed, or system.", show_default=False),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", help="In their certificates; default: the host in the address.", show_default=False),
    ] = None,
    spiffe: Annotated[
        str | None,
        typer.Option(
            "--spiffe", metavar="ID", help="Instead of a name: the one SPIFFE ID in them.", show_default=False
        ),
    ] = None,
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    if apply and back:
        raise Misuse("--apply goes on and --back goes back: say one of them")
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        if not as_json:
            for row in beside("", text).split("\n"):
                line(row, flush=True)

    it = Migration(find(config), route, Asked(present, ca, name, to_port, spiffe), say)
    if back:
        took = it.back()
        say(f"{route}  is as it was before" + ("" if took else "; no edge runs that file, so none was told"))
        ended: dict[str, Any] = {"route": route, "back": True, "edge": took}
    elif apply:
        ended = {"route": route, **it.go_on(watch)}
    else:
        show(it, route, config, as_json=as_json)
        return
    if as_json:
        print_json(ended | {"said": said})
    elif apply:
        end(route, ended)
    raise typer.Exit(0 if back or ended["done"] else 1)


def show(it: Migration, route: str, config: str | None, *, as_json: bool) -> None:
    """How it stands, and what would come next. Nothing is changed."""
    found = it.standings()
    mutual, pattern = sum(one.mutual for one in found), it.written.route()["tls"]
    ready = [one for one in found if one.answer is not None and one.answer.ready]
    if as_json:
        backends = [asdict(one) for one in found]
        print_json({"route": route, "tls": pattern, "backends": backends, "begun": it.is_under_way()})
        return
    line(f'{route}  tls = "{pattern}", {mutual} of {len(found)} backend(s) mutual')
    for one in found:
        row(one)
    runs = edge_there(config)
    if pattern == "mutual":
        line("nothing is left to do" + (f"; undo: everyhop migrate {route} --back" if it.journal else ""))
    elif not runs:
        line("next: start the edge; backends are moved while it serves, and watched by what it counts")
    elif ready or mutual == len(found):
        rest = len(found) - mutual - len(ready)
        line(f"next: the same with --apply{f'; {rest} would stay as they are' if rest else ''}")
    else:
        line("next: have one of them answer by mutual TLS, or something beside it that ends TLS for it")
    if it.is_under_way() and it.journal:
        line(f"it was begun: --apply goes on, and everyhop migrate {route} --back puts it back")


def edge_there(config: str | None) -> bool:
    try:
        return bool(Client(config).ask("status"))
    except NotThere:
        return False


def row(it: Standing) -> None:
    way = it.at if it.at == it.to else f"{it.at} -> {it.to}"
    if it.answer is None:
        line(Paint("ok", "green"), f"  {way}  {it.tls}")
        return
    mark = Paint("ok", "green") if it.answer.ready else Paint("!!", "red")
    first, *more = beside(f"{mark.text}  ", f"{way}  {it.tls}; {it.answer.why}").split("\n")
    line(mark, first[2:])
    for text in more:
        line(text)


def end(route: str, ended: dict[str, Any]) -> None:
    if ended["done"]:
        line(f"undo: everyhop migrate {route} --back")
        return
    line(
        f"{route}  is not mutual yet: {', '.join(ended['left'])} {'was put back' if ended['gone_back'] else 'stays as it is'}"
    )
    line("go on: the same again")

"""`everyhop accept ROUTE`: writes a person's acceptance of plaintext into the configuration, keeping its comments.

The file changes only if what comes out is fit to run as far as this route is concerned; it is replaced in one step.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import tomlkit
import typer

from everyhop.compile import compile_file
from everyhop.compile.reading import read_whole
from everyhop.errors import Misuse, Refused, Surroundings
from everyhop.files import replace_text
from everyhop.model.words import CONTEXTS
from everyhop.screen import line
from everyhop.source import find, text_of


def register(app: typer.Typer) -> None:
    app.command("accept", help="Accept a route's plaintext hop: who, why, until when.")(accept)


def day(text: str, name: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError as e:
        raise Misuse(f"{name} takes a date such as 2027-03-01, not {text!r}") from e


def accept(
    route: Annotated[str, typer.Argument(help="The route's name.")],
    owner: Annotated[str, typer.Option("--owner", help="Who answers for it.")],
    until: Annotated[str, typer.Option("--until", metavar="DATE", help="Last day; at most a year away.")],
    why: Annotated[str, typer.Option("--why", help="The reason, for whoever asks later.")],
    context: Annotated[str, typer.Option("--context", help=" | ".join(CONTEXTS))] = "legacy",
    since: Annotated[
        str | None, typer.Option("--since", metavar="DATE", help="Default: today.", show_default=False)
    ] = None,
    config: Annotated[str | None, typer.Option("--config", help="Configuration.", show_default=False)] = None,
) -> None:
    if context not in CONTEXTS:
        raise Misuse(f"--context is one of {', '.join(CONTEXTS)}")
    main = find(config)
    path = file_of(main, route)
    begins = day(since, "--since") if since else dt.datetime.now(dt.UTC).date()
    ends = day(until, "--until")
    if path.suffix in {".yaml", ".yml"}:
        raise Misuse(
            f"{path} is YAML, whose comments would be lost; add to the route by hand:",
            "  acceptance:",
            f"    owner: {owner}",
            f"    why: {why!r}",
            f"    context: {context}",
            f"    since: {begins}",
            f"    until: {ends}",
        )
    changed = written(path, route, {"owner": owner, "why": why, "context": context, "since": begins, "until": ends})
    replace_text(path, changed, lambda beside: judge(main, path, beside, route))
    line(f"accepted: {route} until {ends}, by {owner}; {path} changed")
    line("next: everyhop check && everyhop reload")


def written(path: Path, route: str, acceptance: dict[str, object]) -> str:
    try:
        document = tomlkit.parse(text_of(path))
    except tomlkit.exceptions.ParseError as e:
        raise Surroundings(f"{path}: {e}; see: everyhop check {path}") from e
    routes = document.get("route", [])
    for table in routes:
        if table.get("name") == route:
            if table.get("tls") != "plaintext" and not any(
                isinstance(t, dict) and t.get("tls") == "plaintext" for t in table.get("to", [])
            ):
                is_so = f"has tls = {table['tls']!r}" if "tls" in table else "has nothing behind it"
                raise Misuse(f"route {route!r} {is_so}: there is no plaintext to accept")
            section = tomlkit.table()
            for key, value in acceptance.items():
                section.add(key, value)
            table["acceptance"] = section
            return tomlkit.dumps(document)
    names = ", ".join(str(t.get("name")) for t in routes) or "none"
    raise Misuse(f"{path} has no route {route!r}; its routes: {names}")


def file_of(main: Path, route: str) -> Path:
    """The file where the route stands, of those that `main` includes; `main`, where it stands in none of them."""
    for part in read_whole(main).parts.values():
        routes = part.values.get("route")
        if any(isinstance(it, dict) and it.get("name") == route for it in (routes if isinstance(routes, list) else [])):
            return part.path
    return main


def judge(main: Path, path: Path, beside: Path, route: str) -> None:
    """Raises `Misuse` where the acceptance itself is refused; what else is wrong was so before."""
    try:
        if path == main:
            compile_file(beside, files="if-there")
        else:
            parts = read_whole(main).parts.items()
            texts = {name: text_of(beside if it.path == path else it.path) for name, it in parts}
            compile_file(main, files="if-there", included=texts)
    except Refused as e:
        mine = [f for f in e.findings if f.slug.startswith("acceptance/") and f.is_of("route", route)]
        if mine:
            raise Misuse(f"not written: {mine[0].what}: {mine[0].mend[0]}") from e

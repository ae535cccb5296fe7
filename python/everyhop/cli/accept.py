"""`everyhop accept NAME`: writes a person's acceptance of plaintext behind a route, or at a listener that serves, into the
configuration, keeping its comments.

The file changes only if what comes out is fit to run as far as that is concerned; it is replaced in one step.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import tomlkit
import typer
from tomlkit.items import InlineTable

from everyhop.compile import compile_file
from everyhop.compile.reading import file_of, read_whole
from everyhop.errors import Misuse, Refused, Surroundings
from everyhop.files import replace_text
from everyhop.model.words import CONTEXTS
from everyhop.screen import line
from everyhop.source import find, text_of

Kind = Literal["route", "listener"]
"""What has an acceptance."""


def register(app: typer.Typer) -> None:
    app.command("accept", help="Accept a route's plaintext hop, or a listener's: who, why, until when.")(accept)


def day(text: str, name: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError as e:
        raise Misuse(f"{name} takes a date such as 2027-03-01, not {text!r}") from e


def accept(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The route's name.")],
    owner: Annotated[str, typer.Option("--owner", help="Who answers for it.")],
    until: Annotated[str, typer.Option("--until", metavar="DATE", help="Last day; at most a year away.")],
    why: Annotated[str, typer.Option("--why", help="The reason, for whoever asks later.")],
    context: Annotated[str, typer.Option("--context", help=" | ".join(CONTEXTS))] = "legacy",
    since: Annotated[
        str | None, typer.Option("--since", metavar="DATE", help="Default: today.", show_default=False)
    ] = None,
    listener: Annotated[
        bool, typer.Option("--listener", help="NAME is a listener's, which serves requests in the clear.")
    ] = False,
    config: Annotated[str | None, typer.Option("--config", help="Configuration.", show_default=False)] = None,
) -> None:
    if context not in CONTEXTS:
        raise Misuse(f"--context is one of {', '.join(CONTEXTS)}")
    main = find(config)
    what: Kind = "listener" if listener else "route"
    path = file_of(main, what, name)
    begins = day(since, "--since") if since else dt.datetime.now(dt.UTC).date()
    ends = day(until, "--until")
    if path.suffix in {".yaml", ".yml"}:
        raise Misuse(
            f"{path} is YAML, whose comments would be lost; add to the {what} by hand:",
            "  acceptance:",
            f"    owner: {owner}",
            f"    why: {why!r}",
            f"    context: {context}",
            f"    since: {begins}",
            f"    until: {ends}",
        )
    changed = written(
        path, what, name, {"owner": owner, "why": why, "context": context, "since": begins, "until": ends}
    )
    replace_text(path, changed, lambda beside: judge(main, path, beside, what, name))
    line(f"accepted: {'listener ' if listener else ''}{name} until {ends}, by {owner}; {path} changed")
    line("next: everyhop check && everyhop reload")


def written(path: Path, what: Kind, name: str, acceptance: dict[str, object]) -> str:
    try:
        document = tomlkit.parse(text_of(path))
    except tomlkit.exceptions.ParseError as e:
        raise Surroundings(f"{path}: {e}; see: everyhop check {path}") from e
    tables = document.get(what, [])
    for table in tables:
        if table.get("name") == name:
            if isinstance(table, InlineTable):
                raise Surroundings(f"{what} {name!r} stands in a list in one line; write it as [[{what}]]")
            if (why := (needless_there if what == "listener" else needless_behind)(table)) is not None:
                raise Misuse(f"{what} {name!r} {why}: there is no plaintext to accept")
            section = tomlkit.table()
            for key, value in acceptance.items():
                section.add(key, value)
            table["acceptance"] = section
            return tomlkit.dumps(document)
    names = ", ".join(str(t.get("name")) for t in tables) or "none"
    raise Misuse(f"{path} has no {what} {name!r}; its {what}s: {names}")


def needless_behind(route: Mapping[str, Any]) -> str | None:
    """Why a route has no plaintext to accept; `None` where it may have some."""
    entries = route.get("to", [])
    if route.get("tls") == "plaintext" or any(isinstance(t, dict) and t.get("tls") == "plaintext" for t in entries):
        return None
    return f"has tls = {route['tls']!r}" if "tls" in route else "has nothing behind it"


def needless_there(listener: Mapping[str, Any]) -> str | None:
    """As `needless_behind`, of a listener."""
    if listener.get("speaks", "tls") == "tls":
        return "speaks TLS"
    return None if listener.get("serve") is True else "forwards nothing of what comes in the clear"


def judge(main: Path, path: Path, beside: Path, what: Kind, name: str) -> None:
    """Raises `Misuse` where the acceptance itself is refused; what else is wrong was so before."""
    try:
        if path == main:
            compile_file(beside, files="if-there")
        else:
            parts = read_whole(main).parts.items()
            texts = {label: text_of(beside if it.path == path else it.path) for label, it in parts}
            compile_file(main, files="if-there", included=texts)
    except Refused as e:
        mine = [f for f in e.findings if f.slug.startswith("acceptance/") and f.is_of(what, name)]
        if mine:
            raise Misuse(f"not written: {mine[0].what}: {mine[0].mend[0]}") from e

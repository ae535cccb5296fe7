"""Edits of a configuration's text that keep its comments and its layout. Pure: from a text to a text.

Each is read again before it is given: where what comes out means anything but what was meant, it is refused and the text stays
as it was. Read next: `steps.py`.
"""

from __future__ import annotations

import copy
import re
import secrets
import tomllib
from collections.abc import Mapping
from typing import Any

import tomlkit
from tomlkit.items import InlineTable, Item, Table
from tomlkit.toml_document import TOMLDocument

from everyhop.errors import EveryhopError, Surroundings
from everyhop.migrate.asked import entries

OF_MOVES = ("tls", "to", "verify", "present", "acceptance", "despite")
"""The keys of a route that a migration changes."""


def route_of(values: Mapping[str, Any], name: str) -> Any:
    """The route, as it stands in what was read."""
    return next(it for it in values.get("route", []) if it.get("name") == name)


def route_in(text: str, name: str) -> dict[str, Any]:
    return dict(route_of(tomllib.loads(text), name))


def with_entry(text: str, name: str, index: int, entry: Mapping[str, Any] | str) -> str:
    """The text with that entry of `to`."""
    document, route = parsed(text, name)
    route["to"][index] = entry if isinstance(entry, str) else inline(entry)

    def meant(it: dict[str, Any]) -> None:
        it["to"][index] = entry if isinstance(entry, str) else dict(entry)

    return judged(document.as_string(), text, name, meant)


def as_mutual(text: str, name: str) -> str:
    """The text with the route itself mutual and without its acceptance; every entry is mutual already."""
    after = route_in(text, name)
    every = entries(after)
    for key in ("verify", "present"):
        said = [it.get(key, after.get(key)) for it in every]
        if said[0] is not None and all(it == said[0] for it in said):
            after[key] = said[0]
            every = [{k: v for k, v in it.items() if k != key} for it in every]
    every = [{k: v for k, v in it.items() if k != "tls"} for it in every]
    after |= {"tls": "mutual", "to": [it["at"] if it.keys() == {"at"} else it for it in every]}
    for key in ("acceptance", "despite"):
        after.pop(key, None)
    return with_route(text, name, after)


def put_back(text: str, before: str, name: str) -> str:
    """The text with that route as it stands in `before`; what else was changed since stays."""
    then, now = route_in(before, name), route_in(text, name)
    kept = {key: value for key, value in now.items() if key not in OF_MOVES}
    return with_route(text, name, kept | {key: then[key] for key in OF_MOVES if key in then}, parsed(before, name)[1])


def with_route(text: str, name: str, after: Mapping[str, Any], like: Table | None = None) -> str:
    """`after` is the route as it is to be; `like` has what comes back, in its layout."""
    document, route = parsed(text, name)
    before, mark = route_in(text, name), ""
    for key in OF_MOVES:
        if key not in after and isinstance(route.get(key), Table) and not route[key].display_name:
            del route[key]
        elif key not in after and isinstance(route.get(key), Table):
            mark = emptied(route[key])
        elif key not in after:
            route.pop(key, None)
        elif key == "to" and like is None and len(before["to"]) == len(after["to"]):
            for i, (old, new) in enumerate(zip(before["to"], after["to"], strict=True)):
                if old != new:
                    route["to"][i] = new if isinstance(new, str) else inline(new)
        elif before.get(key) != after[key]:
            put(route, key, after[key], like)

    def meant(it: dict[str, Any]) -> None:
        it.clear()
        it.update(after)

    out = document.as_string()
    if mark:
        out = re.sub(rf"^[ \t]*\[[^\n]*\n((?:[ \t]*(?:#[^\n]*)?\r?\n)*)[^\n]*{mark}[^\n]*\n", r"\1", out, flags=re.M)
    return judged(out, text, name, meant)


def emptied(table: Table) -> str:
    """Leaves nothing in the table but a mark, which is given. What stands behind its last key belongs to what comes next."""
    mark = f"mark-{secrets.token_hex(8)}"
    first, *rest = list(table)
    for key in rest:
        del table[key]
    table[first] = mark
    return mark


def put(route: Table, key: str, value: Any, like: Table | None) -> None:
    if key == "acceptance":
        section = tomlkit.table()
        for name, said in value.items():
            section.add(name, said)
        route[key] = section
    elif like is not None and key in like:
        route[key] = copy.deepcopy(like[key])
    else:
        route[key] = inline(value) if isinstance(value, Mapping) else value


def inline(value: Mapping[str, Any]) -> Item:
    """In the form `{ at = "...", tls = "mutual" }`."""
    return tomlkit.value(written(value))


def written(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{k} = {written(v)}' for k, v in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    return str(tomlkit.item(value).as_string())


def parsed(text: str, name: str) -> tuple[TOMLDocument, Table]:
    try:
        document = tomlkit.parse(text)
    except tomlkit.exceptions.ParseError as e:
        raise Surroundings(f"it is no TOML: {e}; see: everyhop check") from e
    route = route_of(document, name)
    if isinstance(route, InlineTable):
        raise Surroundings(f"route {name!r} stands in a list in one line; write it as [[route]]")
    assert isinstance(route, Table)
    return document, route


def judged(out: str, text: str, name: str, meant: Any) -> str:
    """`out`, if it says what `text` says but for what `meant` makes of the route."""
    wanted = tomllib.loads(text)
    meant(route_of(wanted, name))
    try:
        found: object = tomllib.loads(out)
    except tomllib.TOMLDecodeError:
        found = None
    if found != wanted:
        raise EveryhopError(
            f"route {name!r} is written in a way that cannot be edited by a machine; nothing was changed"
        )
    return out

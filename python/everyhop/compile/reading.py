"""From a file's values to the model, or to findings that name the place, the thing and the mend."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from everyhop.compile.hints import hint
from everyhop.errors import Refused
from everyhop.model import Config
from everyhop.refusals import PAGES, Finding, masked
from everyhop.source import LISTS, SECRETS, Document, Place, Syntax, Texts, load, whole

Key = tuple[str | int, ...]


def read_document(path: Path, text: str | None = None) -> Document:
    """The file alone, without what it includes.

    Raises `Refused` where the text is neither TOML nor YAML.
    """
    try:
        return load(path, text)
    except Syntax as e:
        raise formless_file(e, text) from e


def read_whole(path: Path, text: str | None = None, included: Texts | None = None) -> Document:
    """The file with what it includes.

    Raises `Refused` where one of them cannot be read as such.
    """
    document = read_document(path, text)
    try:
        return whole(document, included)
    except Syntax as e:
        raise formless_file(e, document.text) from e


def file_of(main: Path, kind: str, name: str) -> Path:
    """The file where the thing of that kind stands, of those that `main` includes; `main`, where it stands in none of them."""
    for part in read_whole(main).parts.values():
        tables = part.values.get(kind)
        if any(isinstance(it, dict) and it.get("name") == name for it in (tables if isinstance(tables, list) else [])):
            return part.path
    return main


def formless_file(error: Syntax, text: str | None) -> Refused:
    why = PAGES[error.slug].why
    return Refused([Finding("refused", error.slug, error.place, error.what, why, (error.mend,))], text)


def read(path: Path, text: str | None = None, included: Texts | None = None) -> tuple[Document, Config]:
    """Raises `Refused` with everything that is wrong with the file's form."""
    document = read_whole(path, text, included)
    errors: list[object] = [*unsaid(document)]
    config = None
    try:
        config = Config.model_validate(document.values)
    except ValidationError as e:
        errors += e.errors(include_url=False)
    if config is None or errors:
        # A value that fits no kind of a union is told of once, by the first; two keys that are missing in one table are told of both.
        found: dict[tuple[Place, str], Finding] = {}
        for it in (finding(document, error) for error in errors):
            found.setdefault((it.place, it.what), it)
        raise Refused(list(found.values()), document.text)
    return document, config


def unsaid(document: Document) -> Iterator[dict[str, object]]:
    """Where TLS ends and what lies behind must be said of each route that the edge does not answer itself."""
    routes = document.values.get("route")
    for i, route in enumerate(routes if isinstance(routes, list) else []):
        if isinstance(route, dict) and not {"redirect", "answer"} & route.keys():
            for key in ("tls", "to"):
                if key not in route:
                    yield {"type": "missing", "loc": ("route", i, key)}


def finding(document: Document, error: object) -> Finding:
    assert isinstance(error, dict)
    kind, loc = str(error["type"]), tuple(error["loc"])
    key = real(document, loc)
    given = error.get("input")
    owner, below = called(document, key)
    thing = f"{owner}: {dotted(below)}" if owner and below else dotted(key)
    if kind == "extra_forbidden":
        mend = hint(".".join(part for part in key[:-1] if isinstance(part, str)), str(loc[-1]))
        place = document.place(key, of_key=True)
        return formless("config/unknown-key", key, place, f"{thing} is not a key here", mend)
    if kind == "missing":
        mend = MISSING.get(str(loc[-1]), f"write {loc[-1]} = ...")
        place = document.place(key[:-1], of_key=True)
        within = below[:-1]
        table = f"{owner}: {dotted(within)}" if owner and within else owner or dotted(key[:-1]) or "the file"
        what = f"{table} has no {loc[-1]!r}"
        return formless("config/missing-key", loc, place, what, mend)
    slug = "config/wrong-type" if kind.endswith("_type") else "config/wrong-value"
    is_word = isinstance(given, str | int | float | bool) and not {*SECRETS} & {*key}
    shown = masked(repr(given)) if is_word else type(given).__name__
    message = str(error["msg"]).replace("Input should be", "it should be")
    return formless(slug, key, document.place(key), f"{thing} is {shown}", message[0].lower() + message[1:])


def formless(slug: str, key: Key, place: Place, what: str, mend: str) -> Finding:
    said = (WHICH.sub("*", what), mend)
    identity = (slug, *map(str, key), what)
    return Finding("refused", slug, place, what, PAGES[slug].why, (mend,), said=said, identity=identity)


NAMED = LISTS
WHICH = re.compile(rf"(?:{'|'.join(NAMED)}) '[^']*'|(?:{'|'.join(NAMED)})\[\d+\]")
"""Which of several things it is: what differs in nothing else is told once."""
MISSING = {
    "version": "write version = 1 at the top",
    "tls": 'choose where TLS ends: tls = "passthrough", "mutual", "reencrypt" or "plaintext"',
    "to": 'say where the backends are: to = ["10.0.0.5:8443"]',
    "bind": 'say where to listen: bind = ["[::]:443"]',
    "listener": 'write [[listener]] with name = "public" and bind = ["[::]:443"]',
}


def real(document: Document, loc: Key) -> Key:
    """A validation error's path without the parts that name types of a union rather than places of the file."""
    value: object = document.values
    out: list[str | int] = []
    for index, part in enumerate(loc):
        if isinstance(value, dict) and isinstance(part, str) and (part in value or index == len(loc) - 1):
            out.append(part)
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            out.append(part)
            value = value[part]
    return tuple(out)


def called(document: Document, key: Key) -> tuple[str, Key]:
    """The thing that `key` stands in as its owner calls it, and the rest of `key`; empty where it has no name of its own."""
    match key:
        case (str(kind), int(index), *rest) if kind in NAMED and rest != ["name"]:
            things = document.values[kind]
            thing = things[index] if isinstance(things, list) else None
            name = thing.get("name") if isinstance(thing, dict) else None
            return (f"{kind} {name!r}", tuple(rest)) if isinstance(name, str) and name else ("", key)
        case _:
            return "", key


def dotted(key: Key) -> str:
    """The key as people write it: `route[1].tls`, counted as they count, from one."""
    text = ""
    for part in key:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text

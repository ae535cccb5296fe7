"""A configuration of several files: `include` names those whose lists follow the main file's own.

Only what has names of its own is included: which files there are, and in which order they come, then changes nothing but
which things there are. Read next: `document.py`.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from everyhop.errors import Surroundings
from everyhop.source.document import Document, Key, Place, Syntax, load

LISTS = ("listener", "site", "identity", "collector", "issuer", "store", "limit", "authorizer", "waf", "route")
"""What an included file may hold."""
SLUG = "config/include"

Texts = Mapping[str, str]
"""Texts of included files by their names, as the pattern finds them: they stand in for what is there now."""


@dataclass
class Whole(Document):
    """A main file with those that it includes: their values as if they stood in one, their places where they do."""

    starts: tuple[Mapping[str, int], ...] = ()
    """How many of each list stand before those of each of `parts`."""

    def place(self, key: Key, *, of_key: bool = False) -> Place:
        match key:
            case (str(kind), int(index), *rest) if kind in LISTS:
                for it, start in reversed(list(zip(self.parts.values(), self.starts, strict=True))):
                    if kind in it.values and index >= start[kind]:
                        return it.place((kind, index - start[kind], *rest), of_key=of_key)
        return super().place(key, of_key=of_key)


def whole(main: Document, texts: Texts | None = None) -> Document:
    """`main` with what it includes, read now or given as `texts`.

    Raises `Syntax`.
    """
    patterns = main.values.get("include")
    if not isinstance(patterns, list) or not all(isinstance(it, str) for it in patterns):
        return main  # the model tells what is wrong with it
    base = main.path.parent
    names = list(texts) if texts is not None else list(found(main, patterns))
    parts = {name: part(main, base / name, None if texts is None else texts[name]) for name in names}
    values, starts = dict(main.values), []
    for it in parts.values():
        starts.append({kind: len(listed(values.get(kind))) for kind in LISTS})
        for kind in it.values:
            mine, more = values.get(kind, []), it.values[kind]
            if isinstance(mine, list) and isinstance(more, list):
                values[kind] = [*mine, *more]
    return Whole(main.path, main.text, values, main.yaml, parts=parts, starts=tuple(starts))


def listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def found(main: Document, patterns: list[str]) -> Iterator[str]:
    """The files that `patterns` name, each once, those of a pattern by their names; never the main file itself."""
    base, seen = main.path.parent, {main.path.resolve()}
    for i, pattern in enumerate(patterns):
        names = matched(base, pattern)
        if not names and not glob.has_magic(pattern):
            place = main.place(("include", i))
            raise Syntax(
                SLUG, place, f"there is no file {base / pattern}", "write the file, or take its name out of include"
            )
        for name in names:
            if (where := (base / name).resolve()) not in seen:
                seen.add(where)
                yield name


def matched(base: Path, pattern: str) -> list[str]:
    """What a pattern of names finds, by name; as in a shell, `*` finds no name that begins with a dot, and folders are none."""
    return sorted(name for name in glob.glob(pattern, root_dir=base) if not (base / name).is_dir())  # noqa: PTH207 - absolute ones too


def part(main: Document, path: Path, text: str | None) -> Document:
    """An included file, which holds lists and nothing else.

    Raises `Syntax`.
    """
    try:
        it = load(path, text)
    except Surroundings as e:
        raise Syntax(
            SLUG, main.place(("include",), of_key=True), str(e), "let it be read, or take it out of include"
        ) from e
    lists = ", ".join(f"[[{kind}]]" for kind in LISTS)
    for key, value in it.values.items():
        place = it.place((key,), of_key=True)
        if key not in LISTS:
            what = f"{key!r} stands in a file that {main.path.name} includes, which may hold {lists} alone"
            raise Syntax(SLUG, place, what, f"write it in {main.path}")
        if not isinstance(value, list):
            raise Syntax(SLUG, place, f"{key!r} is not a list of tables", f"write [[{key}]], once for each")
    return it

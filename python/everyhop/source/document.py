"""Finding and reading a configuration. Read next: `toml_places.py`, `yaml_nodes.py`."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from everyhop.errors import Surroundings
from everyhop.files import read_regular
from everyhop.source import toml_places
from everyhop.source.levels import MOST_LEVELS, levels

Key = tuple[str | int, ...]

ENVIRONMENT = "EVERYHOP_CONFIG"
DEFAULTS = (Path("everyhop.toml"), Path("/etc/everyhop/everyhop.toml"))
MOST_BYTES = 32 * 1024 * 1024


SECRETS = ("key", "token", "password", "secret")
"""Settings whose values are secrets, where they are no references to one."""


@dataclass(frozen=True, order=True)
class Place:
    """Where something stands: 1-based line and column, and how many characters it takes."""

    file: str
    line: int = 0
    column: int = 0
    width: int = 1
    shown: bool = True
    """Whether what stands there may be shown."""
    secret: bool = False
    """Whether it is the value of one of `SECRETS`, on whichever line: shown as stars if it is no reference."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class Syntax(Exception):
    """The text is not TOML or YAML, or not one that is taken here."""

    def __init__(self, slug: str, place: Place, what: str, mend: str) -> None:
        super().__init__(what)
        self.slug, self.place, self.what, self.mend = slug, place, what, mend


class Unfound(Surroundings):
    """There is no configuration."""


@dataclass
class Document:
    """A file's text, its values, and where they stand."""

    path: Path
    text: str
    values: Mapping[str, object]
    yaml: bool
    parts: Mapping[str, Document] = field(default_factory=dict, repr=False)
    """The files that it includes, by their names as they were found."""
    _places: dict[Key, tuple[int, int, int]] | None = field(default=None, repr=False)

    @property
    def included(self) -> dict[str, str]:
        """The texts of `parts`."""
        return {name: it.text for name, it in self.parts.items()}

    def place(self, key: Key, *, of_key: bool = False) -> Place:
        """Where the value at `key` stands (or its key); the nearest table that does, if it is not there."""
        if self._places is None:
            self._places = yaml_places(self.text) if self.yaml else toml_places.scan(self.text)
        while True:
            if of_key and (name := self._places.get((*key, "\0key"))):
                return Place(str(self.path), *name)
            if found := self._places.get(key):
                return Place(str(self.path), *found, secret=bool({*SECRETS} & {*key}))
            if not key:
                return Place(str(self.path), 1, 1)
            key, of_key = key[:-1], False


def find(given: str | None) -> Path:
    """The file to read.

    Raises `Unfound`, saying where it looked.
    """
    if given or (given := os.environ.get(ENVIRONMENT)):
        path = Path(given)
        if path.exists() and not path.is_dir():
            return path
        raise Unfound(f"there is no file {path}")
    for path in DEFAULTS:
        if path.is_file():
            return path
    looked = f"${ENVIRONMENT} (not set), " + ", ".join(str(p) for p in DEFAULTS)
    raise Unfound(
        f"no configuration found; looked at {looked}",
        "give one: everyhop check FILE, see a working one: everyhop demo --write DIR",
        "or have one written from what you require: everyhop advise",
    )


def load(path: Path, text: str | None = None) -> Document:
    """Reads a file, or `text` as if it were the file's.

    Raises `Syntax`, or `Surroundings` where it cannot be read.
    """
    try:
        text = text_of(path) if text is None else text
    except UnicodeDecodeError as e:
        before = e.object[: e.start].decode()
        place = Place(str(path), before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise Syntax("config/syntax", place, f"the file is not UTF-8 (byte {e.start})", "save it as UTF-8") from e
    except (OSError, ValueError) as e:
        raise Surroundings(f"cannot read {path}: {e.strerror if isinstance(e, OSError) else e}") from e
    foreign(path, text)
    if path.suffix in {".yaml", ".yml"}:
        # Imported where it is used: most configurations are TOML, and every start would pay for it.
        from everyhop.source import yaml_nodes

        try:
            return Document(path, text, yaml_nodes.values(text), yaml=True)
        except yaml_nodes.NotYaml as e:
            raise Syntax("config/syntax", word_at(path, text, *e.place(text)), e.what, e.mend) from e
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise toml_syntax(path, text, e) from e
    except RecursionError as e:
        raise too_deep(path, text) from e
    except ValueError as e:
        # Such as a number of more digits than Python reads. It does not say where: the longest line is where it can be.
        lines = text.split("\n")
        place = Place(str(path), lines.index(max(lines, key=len)) + 1, 1)
        raise Syntax("config/syntax", place, f"it cannot be read: {e}", "mend the TOML here") from e
    if levels(values) > MOST_LEVELS:
        raise too_deep(path, text)
    return Document(path, text, values, yaml=False)


def yaml_places(text: str) -> dict[Key, tuple[int, int, int]]:
    from everyhop.source import yaml_nodes

    return yaml_nodes.places(text)


def text_of(path: Path) -> str:
    """The file's text, its line ends as they are written here, without the byte order mark of some editors.

    Raises `OSError`, `UnicodeDecodeError`, and `ValueError` for a name that no file can have.
    """
    text = read_regular(path, MOST_BYTES)[0].decode().removeprefix("\ufeff")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def too_deep(path: Path, text: str) -> Syntax:
    """The place is the line with the most brackets and dots: what nests."""
    lines = text.split("\n")
    line = max(range(len(lines)), key=lambda i: sum(map(lines[i].count, "[{.")))
    what = f"this is nested deeper than {MOST_LEVELS} levels"
    return Syntax("config/syntax", Place(str(path), line + 1, 1), what, "write it flatter")


def toml_syntax(path: Path, text: str, error: tomllib.TOMLDecodeError) -> Syntax:
    found = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
    line, column = (int(found[1]), int(found[2])) if found else (max(text.count("\n"), 1), 1)
    what = re.sub(r"\s*\(at .*\)$", "", str(error))
    again = "overwrite" in what or "twice" in what
    if again:
        # Found at the end of what stands there twice; it is its beginning that a person looks for.
        row = text.split("\n")[line - 1]
        column = len(row) - len(row.lstrip(" \t[")) + 1
    mend = "write each key and each [table] once" if again else "mend the TOML here"
    return Syntax("config/syntax", word_at(path, text, line, column), what, mend)


def word_at(path: Path, text: str, line: int, column: int) -> Place:
    """The place with all of the word that begins there."""
    row = text.split("\n")[line - 1 : line] or [""]
    found = re.match(r"[^\s=:,\[\]{}#]+", row[0][column - 1 :])
    return Place(str(path), line, column, len(found[0]) if found else 1)


FOREIGN = (
    (re.compile(r"^\s*(http|stream|events|server)\s*\{", re.M), "an nginx configuration"),
    (re.compile(r"^\s*(frontend|backend|defaults|listen)\s+\S+\s*$|^global\s*$", re.M), "an HAProxy configuration"),
    (re.compile(r"^\s*static_resources:|\"static_resources\"\s*:", re.M), "an Envoy configuration"),
    (re.compile(r"^\s*\S+\s*\{\s*\n\s*(reverse_proxy|tls|root|respond)\b", re.M), "a Caddyfile"),
)


def foreign(path: Path, text: str) -> None:
    for pattern, what in FOREIGN:
        if (found := pattern.search(text)) and not re.search(r"^\s*(\[\[|version\s*[=:])", text, re.M):
            line = text.count("\n", 0, found.start()) + 1
            raise Syntax(
                "config/foreign",
                Place(str(path), line, 1),
                f"this looks like {what}, not an Everyhop one",
                "write it in the words of Everyhop, beginning with: everyhop demo --write DIR",
            )

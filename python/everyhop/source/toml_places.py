"""Where each key and value of a TOML text stands. One pass; the text is known to be valid TOML.

It runs only when something must be reported, so it knows no values: `tomllib` has those.
"""

from __future__ import annotations

import re
import tomllib

Key = tuple[str | int, ...]
Span = tuple[int, int, int]

BARE = re.compile(r"[A-Za-z0-9_-]+")
SPACE = re.compile(r"[ \t]*")
GAP = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
SCALAR = re.compile(r"[^\s,\]\}#]+(?: \d\d:[^\s,\]\}#]+)?")
STRINGS = (
    re.compile(r'"""(?:\\.|[^\\])*?"{3,5}', re.S),
    re.compile(r"'''.*?'{3,5}", re.S),
    re.compile(r'"(?:\\.|[^"\\\n])*"'),
    re.compile(r"'[^'\n]*'"),
)


def unquoted(raw: str) -> str:
    """The key that a quoted one is, its escapes read."""
    if raw[0] == "'" or "\\" not in raw:
        return raw[1:-1]
    return str(tomllib.loads(f"key = {raw}")["key"])


class Scanner:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.found: dict[Key, Span] = {}
        self.starts = [0, *(m.end() for m in re.finditer("\n", text))]
        self.line = 0

    def span(self, start: int, end: int) -> Span:
        # Positions only ever grow, so the line is found by walking on.
        while self.line + 1 < len(self.starts) and self.starts[self.line + 1] <= start:
            self.line += 1
        one_line = self.text[start:end].split("\n", 1)[0]
        return self.line + 1, start - self.starts[self.line] + 1, max(len(one_line), 1)

    def match(self, pattern: re.Pattern[str]) -> str | None:
        found = pattern.match(self.text, self.at)
        if found:
            self.at = found.end()
        return found[0] if found else None

    def string(self) -> str | None:
        for pattern in STRINGS:
            if (raw := self.match(pattern)) is not None:
                return raw
        return None

    def dotted(self) -> tuple[tuple[str, ...], int, int]:
        parts: list[str] = []
        start = self.at
        while True:
            raw = self.string()
            part = unquoted(raw) if raw is not None else self.match(BARE) or ""
            parts.append(part)
            end = self.at
            self.match(SPACE)
            if self.text[self.at : self.at + 1] != ".":
                return tuple(parts), start, end
            self.at += 1
            self.match(SPACE)

    def run(self) -> dict[Key, Span]:
        counts: dict[Key, int] = {}
        table: Key = ()
        while True:
            self.match(GAP)
            if self.at >= len(self.text):
                return self.found
            before = self.at
            if self.text.startswith("[[", self.at):
                self.at += 2
                self.match(SPACE)
                parts, start, end = self.dotted()
                path = (*self.resolve(parts[:-1], counts), parts[-1])
                counts[path] = counts.get(path, -1) + 1
                self.found.setdefault(path, self.span(start, end))
                table = (*path, counts[path])
                self.found[table] = self.span(start, end)
                self.at = self.text.find("]]", self.at) + 2
            elif self.text[self.at] == "[":
                self.at += 1
                self.match(SPACE)
                parts, start, end = self.dotted()
                table = self.resolve(parts, counts)
                self.found.setdefault(table, self.span(start, end))
                self.at = self.text.find("]", self.at) + 1
            else:
                self.pair(table)
            if self.at <= before:
                return self.found

    def resolve(self, parts: tuple[str, ...], counts: dict[Key, int]) -> Key:
        path: Key = ()
        for part in parts:
            path = (*path, part)
            if path in counts:
                path = (*path, counts[path])
        return path

    def pair(self, table: Key) -> None:
        parts, start, end = self.dotted()
        key = table + parts
        self.found[(*key, "\0key")] = self.span(start, end)
        self.match(SPACE)
        self.at += 1  # the equals sign
        self.match(SPACE)
        self.value(key)

    def value(self, key: Key) -> None:
        start = self.at
        opening = self.text[self.at : self.at + 1]
        if opening not in {"[", "{"}:
            if self.string() is None:
                self.match(SCALAR)
            self.found[key] = self.span(start, self.at)
            return
        self.found[key] = self.span(start, start + 1)
        self.at += 1
        index = 0
        while True:
            self.match(GAP)
            here = self.text[self.at : self.at + 1]
            if here in {"]", "}", ""}:
                self.at += 1
                return
            if here == ",":
                self.at += 1
            elif opening == "[":
                self.value((*key, index))
                index += 1
            else:
                self.pair(key)


def scan(text: str) -> dict[Key, Span]:
    """Line, column and width of every value by its path; of keys under the path with a last part of NUL and `key`."""
    return Scanner(text).run()

"""A TOML text in one form: its lines in their order, with all comments, written alike. What it says stays the same.

One key a line, the equals signs of neighbours under each other, a space inside of braces and behind commas, four spaces
inside of an array of several lines, one empty line before a table. Read next: `toml_places.py`, whose scanner it walks with.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from everyhop.source.toml_places import BARE, SCALAR, SPACE, Scanner

COMMENT = re.compile(r"#[^\n]*")
SPACES = re.compile(r"[ \t]+")
BREAK = re.compile(r"[ \t]*\n")
INDENT = "    "


@dataclass
class Line:
    """A statement, a comment of its own, or nothing."""

    kind: str
    """`table`, `pair`, `comment` or `empty`."""
    left: str = ""
    """The key, the table in its brackets, or the comment."""
    right: str = ""
    comment: str = ""
    column: int = 0
    """Where the comment stood, from 0."""


def formed(text: str) -> str:
    """`text`, which is valid TOML, in its one form."""
    return "\n".join(written(Former(text).lines())).strip("\n") + "\n"


class Former(Scanner):
    """Walks through the text and takes what it says, without the white space between."""

    def lines(self) -> list[Line]:
        found: list[Line] = []
        while self.at < len(self.text):
            self.match(SPACES)
            if self.match(BREAK) is not None:
                found.append(Line("empty"))
                continue
            if (comment := self.match(COMMENT)) is not None:
                found.append(Line("comment", comment.rstrip()))
            elif self.text.startswith("[", self.at):
                found.append(self.table())
            elif self.at < len(self.text):
                found.append(self.statement())
            self.match(BREAK)
        return found

    def table(self) -> Line:
        brackets = 2 if self.text.startswith("[[", self.at) else 1
        self.at += brackets
        self.match(SPACE)
        name = self.key()
        self.at += brackets
        return self.remarked(Line("table", "[" * brackets + name + "]" * brackets))

    def statement(self) -> Line:
        key = self.key()
        self.at += 1  # the equals sign
        self.match(SPACE)
        return self.remarked(Line("pair", key, self.form("")))

    def remarked(self, line: Line) -> Line:
        """With the comment behind it."""
        self.match(SPACE)
        line.column = self.at - (self.text.rfind("\n", 0, self.at) + 1)
        line.comment = (self.match(COMMENT) or "").rstrip()
        return line

    def key(self) -> str:
        parts: list[str] = []
        while True:
            raw = self.string()
            parts.append(raw if raw is not None else self.match(BARE) or "")
            self.match(SPACE)
            if self.text[self.at : self.at + 1] != ".":
                return ".".join(parts)
            self.at += 1
            self.match(SPACE)

    def form(self, indent: str) -> str:
        """The value that begins here; `indent` is that of the line on which it begins."""
        opening = self.text[self.at : self.at + 1]
        if opening == "[":
            return self.array(indent)
        if opening == "{":
            return self.inline(indent)
        if (raw := self.string()) is not None:
            return raw
        return self.match(SCALAR) or ""

    def inline(self, indent: str) -> str:
        self.at += 1
        parts: list[str] = []
        while True:
            self.match(SPACES)
            here = self.text[self.at : self.at + 1]
            if here in {"}", ""}:
                self.at += 1
                return f"{{ {', '.join(parts)} }}" if parts else "{}"
            if here == ",":
                self.at += 1
                continue
            key = self.key()
            self.at += 1
            self.match(SPACE)
            parts.append(f"{key} = {self.form(indent)}")

    def array(self, indent: str) -> str:
        """On one line where it was, else with each element on its own: comments stay beside or above what they are of."""
        self.at += 1
        inner = indent + INDENT
        rows: list[Line] = []
        several = False
        end = self.at
        while True:
            self.match(SPACES)
            here = self.text[self.at : self.at + 1]
            if here in {"]", ""}:
                self.at += 1
                break
            if here == "\n":
                self.at += 1
                several = True
            elif here == "#":
                several = True
                beside = bool(rows) and "\n" not in self.text[end : self.at] and rows[-1].kind == "pair"
                comment = (self.match(COMMENT) or "").rstrip()
                if beside:
                    rows[-1].comment = comment
                else:
                    rows.append(Line("comment", comment))
            elif here == ",":
                self.at += 1
            else:
                rows.append(Line("pair", right=self.form(inner)))
                end = self.at
        if not several:
            return f"[{', '.join(row.right for row in rows)}]"
        if not rows:
            return "[]"
        shown = [
            inner + (row.left if row.kind == "comment" else f"{row.right},{'  ' + row.comment if row.comment else ''}")
            for row in rows
        ]
        return "\n".join(["[", *shown, f"{indent}]"])


def written(found: list[Line]) -> list[str]:
    out: list[str] = []
    table = ""
    for at, line in enumerate(found):
        if line.kind == "empty":
            apart(out)
        elif line.kind == "comment":
            after = next((it for it in found[at:] if it.kind != "comment"), None)
            if after is not None and after.kind == "table" and found[at - 1].kind == "pair" and not is_of(after, table):
                apart(out)
            out.append(line.left)
        elif line.kind == "table":
            if at and found[at - 1].kind != "comment" and not is_of(line, table):
                apart(out)
            table = line.left.strip("[]")
            out.append(with_comment(line.left, line, line.column))
        else:
            out.append(pair(line, block(found, at)))
    return out


def is_of(line: Line, table: str) -> bool:
    """Whether it begins a table of that table, which may stand close to it."""
    return bool(table) and line.left.strip("[]").startswith(f"{table}.")


def apart(out: list[str]) -> None:
    """One empty line, however many there were; none at the top."""
    if out and out[-1] != "":
        out.append("")


def block(found: list[Line], at: int) -> list[Line]:
    """The pairs on neighbouring lines, which stand under each other."""
    first = last = at
    while first > 0 and found[first - 1].kind == "pair":
        first -= 1
    while last + 1 < len(found) and found[last + 1].kind == "pair":
        last += 1
    return found[first : last + 1]


def pair(line: Line, neighbours: list[Line]) -> str:
    key = max(len(it.left) for it in neighbours)

    def text(it: Line) -> str:
        return f"{it.left.ljust(key)} = {it.right}"

    # Where all comments of the block fit, and no further to the left than one of them stood.
    beside = [it for it in neighbours if it.comment and "\n" not in it.right]
    column = max((max(len(text(it)) + 2, it.column) for it in beside), default=0)
    return with_comment(text(line), line, 0 if "\n" in line.right else column)


def with_comment(text: str, line: Line, column: int) -> str:
    return f"{text.ljust(column - 2)}  {line.comment}" if line.comment else text

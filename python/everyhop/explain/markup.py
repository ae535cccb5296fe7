"""HTML, piece by piece, with all text of others escaped. Read next: `page.py`."""

from __future__ import annotations

from collections.abc import Sequence

from everyhop.explain.svg import text

PLAINTEXT = "plaintext"
LONG = {"backend", "backends", "failed tries", "last failure"}
"""Columns of words that have no blanks to break at."""


def cell(markup: str, label: str) -> str:
    """`label` says on a phone, where a table has no columns, what the cell is."""
    kind = ' class="long"' if label in LONG else ""
    return f'<td data-label="{text(label)}"{kind}>{markup}</td>'


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """`rows` are markup, `head` is text."""
    top = "".join(f"<th>{text(name)}</th>" for name in head)
    body = ""
    for first, *others in rows:
        cells = "".join(cell(it, label) for it, label in zip(others, head[1:], strict=True))
        kind = ' class="long"' if head[0] in LONG else ""
        body += f"<tr><td{kind}>{first}</td>{cells}</tr>"
    return f'<table><thead><tr class="head">{top}</tr></thead><tbody>{body}</tbody></table>'


def pattern(word: str) -> str:
    """A pattern with its mark: a plaintext one never looks like the others, also without colour."""
    return (
        f'<span class="open">! {text(word)}</span>'
        if word == PLAINTEXT
        else f'<span class="shut">= {text(word)}</span>'
    )


def verdict(bad: bool) -> str:
    return '<span class="bad">! yes</span>' if bad else '<span class="good">no</span>'


def facts(pairs: list[tuple[str, str]]) -> str:
    """`pairs` of a text and its markup."""
    return "<dl>" + "".join(f"<dt>{text(name)}</dt><dd>{value}</dd>" for name, value in pairs) + "</dl>"


def code(raw: str) -> str:
    return f"<code>{text(raw)}</code>"


def bullets(said: list[str]) -> str:
    return "<ul>" + "".join(f"<li>{text(it)}</li>" for it in said) + "</ul>"

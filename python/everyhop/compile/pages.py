"""Files that the edge answers with: read whole by the supervisor, and small, since every engine holds them in memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from everyhop.files import read_regular
from everyhop.identity import Mark, Unusable
from everyhop.identity.mark import mark

MOST_BYTES = 64 * 1024
"""A page that says that something is not there; more than that is a site, and wants a server."""


@dataclass(frozen=True)
class Page:
    """What stands in the file."""

    data: bytes = field(repr=False)
    sha256: str
    files: dict[Path, Mark]


def read_page(label: str, base: Path, slug: str = "route/answer-file") -> Page:
    """Raises `Unusable`."""
    path = base / label
    try:
        data, before = read_regular(path, MOST_BYTES)
    except (OSError, ValueError) as e:
        why = e.strerror if isinstance(e, OSError) else e
        mend = f"check the path, that everyhop may read it, and that it is at most {MOST_BYTES // 1024} KiB"
        raise Unusable(slug, f"{path}: {why}", mend) from e
    return Page(data, hashlib.sha256(data).hexdigest(), {path: mark(before)})


def text_of(page: Page, path: Path, slug: str) -> str:
    """Where it is told as text, it is some, and in the charset that is said of it. Raises `Unusable`."""
    try:
        text = page.data.decode()
    except UnicodeDecodeError as e:
        what = f"{path}: it is no text in UTF-8: its byte {e.start} is none"
        raise Unusable(slug, what, "save it as UTF-8") from e
    if "\0" in text:
        raise Unusable(slug, f"{path}: it has a zero byte, which no text has", "save it as UTF-8")
    return text


def read_answer(label: str, base: Path, known: Page | None, *, is_text: bool) -> Page:
    """What a route answers with, `known` where it was read before. Raises `Unusable`."""
    page = known or read_page(label, base)
    if is_text:
        text_of(page, base / label, "route/answer-file")
    return page


def read_html(label: str, base: Path, known: Page | None) -> Page:
    """A page for people, `known` where it was read before; without a word in it nobody would be told anything.

    Raises `Unusable`.
    """
    slug = "pages/file"
    page = known or read_page(label, base, slug)
    path = base / label
    if not text_of(page, path, slug).strip():
        raise Unusable(slug, f"{path}: it is empty", "write what people are to be told, or take the page out")
    return page

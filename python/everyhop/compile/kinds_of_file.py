"""What a file holds, by its name: of those kinds that an answer of the edge's own may be."""

from __future__ import annotations

from pathlib import PurePath

KINDS = {
    ".css": "text/css; charset=utf-8",
    ".gif": "image/gif",
    ".htm": "text/html; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webp": "image/webp",
    ".xml": "application/xml",
}


def kind_of(name: str) -> str:
    """The value of Content-Type; what nobody knows is bytes."""
    return KINDS.get(PurePath(name).suffix.lower(), "application/octet-stream")


def is_utf8(kind: str) -> bool:
    """It is said to be text in UTF-8, or is by its definition (RFC 8259 §8.1)."""
    return kind.endswith("charset=utf-8") or kind == "application/json"

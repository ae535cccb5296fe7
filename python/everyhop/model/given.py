"""What a route answers itself that has nothing behind it."""

from typing import Annotated, Literal

from pydantic import Field

from everyhop.model.base import Section


class Redirect(Section):
    """Where a route leads its clients instead of carrying their requests."""

    to: Annotated[str, Field(min_length=1, max_length=2048)]
    """`https://` with a host of its own, or a path. It may name `{path}` (byte for byte as it came), `{query}` (with its `?`, at the end) and `{host}`: `https://www.example.com{path}{query}`. What is not named is not kept."""
    status: Literal[301, 302, 303, 307, 308] = 308
    """308 and 307 keep the method and the body; after 301 and 302 some clients send GET; 303 makes it one. 308 and 301 are remembered by browsers."""
    headers: dict[str, str] = {}
    """More fields of the answer, with values as those of `response`: `{ strict-transport-security = "max-age=31536000" }`."""


class Answer(Section):
    """What a route tells its clients instead of carrying their requests."""

    status: Annotated[int, Field(ge=200, le=599)]
    """One of those that have a body, and lead nowhere."""
    text: str | None = None
    """What is told, as plain text."""
    file: str | None = None
    """Or what stands in a file, of 64 KiB at most. The file is watched. Its name says what it is: `.html`, `.txt`, `.json` ..."""
    headers: dict[str, str] = {}
    """More fields of the answer, with values as those of `response`: `{ retry-after = "600" }`. `content-type` takes the place of what the file's name says."""

"""The file that a route stands in: read, judged with another text, and replaced in one step; and whoever else would do so meanwhile
is kept out. Read next: `edit.py`, which makes the texts."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from everyhop.compile import Compiled, compile_file
from everyhop.compile.reading import file_of, read_whole
from everyhop.errors import Misuse, Surroundings
from everyhop.files import replace_text
from everyhop.migrate.edit import route_of
from everyhop.source import text_of


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Written:
    """Of the configuration `main`, the file with the route `name`.

    Raises `Misuse` where there is no such route, or it stands in YAML, whose comments would be lost.
    """

    def __init__(self, main: Path, name: str) -> None:
        self.main, self.name = main, name
        whole = read_whole(main)
        routes = whole.values.get("route")
        names = [str(it.get("name")) for it in (routes if isinstance(routes, list) else []) if isinstance(it, dict)]
        if name not in names:
            raise Misuse(f"{main} has no route {name!r}; its routes: {', '.join(names) or 'none'}")
        self.path = file_of(main, "route", name)
        if self.path.suffix in {".yaml", ".yml"}:
            raise Misuse(
                f"{self.path} is YAML, whose comments would be lost: move route {name!r} by hand, one backend at a time:",
                "  to:",
                '    - { at: "HOST:PORT", tls: mutual, verify: { ca: FILE, name: NAME }, present: IDENTITY }',
            )
        identities = whole.values.get("identity")
        self.identities = (
            {str(it["name"]): str(it.get("from")) for it in identities} if isinstance(identities, list) else {}
        )
        """By name, where each comes from."""

    def text(self) -> str:
        return text_of(self.path)

    def route(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = route_of(read_whole(self.path).values, self.name)
        return found

    def judged(self, text: str, *, past: bool = False) -> Compiled:
        """What the whole configuration comes to with `text` in this file's place. `past`: dates that are over only close.

        Raises `Refused`.
        """
        over: Literal["refuse", "close"] = "close" if past else "refuse"
        if self.path == self.main:
            return compile_file(self.main, text=text, past_dates=over)
        parts = read_whole(self.main).parts.items()
        texts = {label: text if it.path == self.path else it.text for label, it in parts}
        return compile_file(self.main, included=texts, past_dates=over)

    def replace(self, text: str) -> None:
        replace_text(self.path, text)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """While no other migration of a file in that folder is under way."""
        folder = os.open(self.path.resolve().parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as e:
            raise Surroundings(
                f"another everyhop migrate is at work on a file beside {self.path}; wait for its end"
            ) from e
        finally:
            os.close(folder)

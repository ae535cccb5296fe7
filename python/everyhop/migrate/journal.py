"""What a migration has done so far, in a file beside the configuration, written before each step: whoever comes after one that was
killed goes on, or takes it back. It holds the text from before and no secret but what stood in that."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import quote

from everyhop.errors import Surroundings
from everyhop.files import synced
from everyhop.migrate.asked import Asked


@dataclass
class Journal:
    """Of one route. `path` is where it is kept."""

    path: Path
    before: str
    """The file's text before the first step."""
    entries: list[str]
    """Its backends before it, by address."""
    asked: Asked
    ours: list[str] = field(default_factory=list)
    """Digests of the texts that are ours: the last one, and the one that is about to be written."""
    watched: list[int] = field(default_factory=list)
    """Which entries were moved and did well."""

    def keep(self) -> None:
        """Replaces what was kept, wholly or not at all. Raises `Surroundings`."""
        beside = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        told = {"version": 1, **{k: v for k, v in asdict(self).items() if k != "path"}}
        try:
            fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "w", encoding="utf-8") as out:
                json.dump(told, out)
                out.flush()
                os.fsync(out.fileno())
            beside.replace(self.path)
            synced(self.path.parent)
        except OSError as e:
            raise Surroundings(f"cannot write {self.path}: {e.strerror}; nothing was moved") from e

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)


def place_of(file: Path, route: str) -> Path:
    """A name that no pattern of `include` finds."""
    file = file.resolve()
    return file.with_name(f".{file.name}.migrate-{quote(route, safe='')}.json")


def kept(file: Path, route: str) -> Journal | None:
    """`None` where no migration was begun.

    Raises `Surroundings` for what is no journal.
    """
    path = place_of(file, route)
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if told.pop("version") != 1:
            raise ValueError("it is of another version")
        return Journal(path, **(told | {"asked": Asked(**told["asked"])}))
    except FileNotFoundError:
        return None
    except OSError as e:
        raise Surroundings(f"cannot read {path}: {e.strerror}") from e
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise Surroundings(f"{path} is not what everyhop migrate writes: {e}; put it away to begin anew") from e

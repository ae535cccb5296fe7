"""Files with rules for the inspector: read by the supervisor, judged by the inspector itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from everyhop.files import read_regular
from everyhop.identity import Mark, Unusable
from everyhop.identity.mark import mark

MOST_BYTES = 4 << 20


@dataclass(frozen=True)
class Rules:
    """What stands in the file."""

    text: str = field(repr=False)
    sha256: str
    files: dict[Path, Mark]


def read_rules(label: str, base: Path) -> Rules:
    """Raises `Unusable`."""
    path = base / label
    try:
        data, before = read_regular(path, MOST_BYTES)
        text = data.decode()
    except UnicodeDecodeError as e:
        raise Unusable("waf/rules", f"{path}: it is no text in UTF-8", "save it in UTF-8") from e
    except (OSError, ValueError) as e:
        why = e.strerror if isinstance(e, OSError) else e
        mend = f"check the path, that everyhop may read it, and that it is at most {MOST_BYTES >> 20} MiB"
        raise Unusable("waf/rules", f"{path}: {why}", mend) from e
    return Rules(text, sha256(data).hexdigest(), {path: mark(before)})

"""What was kept for a configuration that does not name it any more: revocation lists of URLs, and identities that came by themselves.

Only what runs says what is named; a reload that failed takes nothing away. And only what nobody can use any more is removed: a list that is
overdue, an identity whose certificate is over, each for `LONG`. Until then a file that is taken back finds it, and another edge beside the same
folder, which may name it, has renewed it. What cannot be read, and whatever else lies there, is left alone.
Read next: `fetching.py`, `renewing.py`.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509

from everyhop.authority.held import Held
from everyhop.errors import EveryhopError
from everyhop.identity.published import parsed
from everyhop.identity.unusable import Unusable
from everyhop.model import ComingIdentity, Config
from everyhop.model.identity import IDENTITIES

LONG = dt.timedelta(days=30)
LIST = re.compile(r"[0-9a-f]{32}\.pem")
"""As `CrlSection.kept` names one."""
MOST_BYTES = 64 << 20


def tidy(config: Config, base: Path, urls: set[str], now: dt.datetime) -> list[str]:
    """Of what runs, whose lists are those of `urls`. Gives what was removed."""
    gone = []
    named = {base / config.crl.kept(url) for url in urls}
    for path in over_lists(base / config.crl.state, now):
        if path not in named:
            with contextlib.suppress(OSError):
                path.unlink()
                gone.append(f"revocation list {path}, which nothing names and is overdue")
    kept = {base / it.folder for it in config.identity if isinstance(it, ComingIdentity)}
    for folder in over_identities(base / IDENTITIES, now):
        if folder not in kept:
            with contextlib.suppress(OSError):
                shutil.rmtree(folder)
                gone.append(f"identity {folder}, which nothing names and is over")
    return gone


def below(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def over_lists(folder: Path, now: dt.datetime) -> Iterator[Path]:
    for path in below(folder):
        if LIST.fullmatch(path.name) is None or path.is_symlink():
            continue
        with contextlib.suppress(OSError, ValueError, Unusable):
            ends = [it.next_update_utc for it in parsed(path.name, path.read_bytes()[:MOST_BYTES])]
            if all(end is not None and end + LONG < now for end in ends):
                yield path


def over_identities(folder: Path, now: dt.datetime) -> Iterator[Path]:
    for path in below(folder):
        if path.is_symlink() or not path.is_dir():
            continue
        with contextlib.suppress(OSError, EveryhopError):
            leaf: x509.Certificate | None = Held(path).leaf()
            if leaf is not None and leaf.not_valid_after_utc + LONG < now:
                yield path

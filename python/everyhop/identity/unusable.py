"""Why a certificate, key, CA file or list cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from everyhop.files import read_regular
from everyhop.identity.mark import Mark, mark

Half = Literal["chain", "key"]

MOST_BYTES = 64 * 1024 * 1024
"""The largest revocation lists that authorities publish are some tens of megabytes."""


class Unusable(Exception):
    """A certificate, key or CA file that cannot be used; `slug` names the refusal, `mend` the way out.

    `of` is the half of a pair that is at fault, so that the finding stands at that very line.
    """

    def __init__(self, slug: str, what: str, mend: str, of: Half = "chain") -> None:
        super().__init__(what)
        self.slug, self.what, self.mend, self.of = slug, what, mend, of


def read(path: Path, slug: str, of: Half = "chain") -> tuple[bytes, Mark]:
    """What stands in the file, and its mark from before that was read: a change while we read is still a change."""
    try:
        data, before = read_regular(path, MOST_BYTES)
    except (OSError, ValueError) as e:
        why = e.strerror if isinstance(e, OSError) else e
        raise Unusable(slug, f"{path}: {why}", "check the path and that everyhop may read it", of) from e
    return data, mark(before)

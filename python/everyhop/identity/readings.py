"""What was read and judged before need not be read and judged again while its files bear the same marks: of thousands of
certificates one is renewed at a time. Keeps only what was asked for since it was made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar, cast

from everyhop.identity.certificates import Pair, Roots, read_pair, read_roots
from everyhop.identity.mark import mark_of
from everyhop.identity.revocation import Crl, read_crl
from everyhop.identity.tokens import in_token, pin_reference
from everyhop.identity.unusable import Unusable

Read = TypeVar("Read", Pair, Roots, Crl)
Key = tuple[object, ...]


class Readings:
    """Of one compilation, which may know those of the one before."""

    def __init__(self, before: Readings | None = None) -> None:
        self.before: dict[Key, Pair | Roots | Crl] = {} if before is None else before.found
        self.found: dict[Key, Pair | Roots | Crl] = {}
        self.judged = 0
        """How many were read and judged, since they were new or their files had changed."""

    def pair(self, chain: str, key: str, base: Path, environ: Mapping[str, str]) -> Pair:
        """As `read_pair`."""
        kind, _, rest = (pin_reference(key) if in_token(key) else key).partition(":")
        given = environ.get({"env": rest, "cred": "CREDENTIALS_DIRECTORY"}.get(kind, ""))
        return self.known(("pair", chain, key, base, given), lambda: read_pair(chain, key, base, environ))

    def roots(self, label: str, base: Path, *, own: bool = False) -> Roots:
        """As `read_roots`."""
        return self.known(("roots", label, base, own), lambda: read_roots(label, base, own=own))

    def crl(self, label: str, roots: Roots, base: Path, whom: str) -> Crl:
        """As `read_crl`."""
        return self.known(("crl", label, roots.sha256, base, whom), lambda: read_crl(label, roots, base, whom))

    def last_crl(self, label: str, roots: Roots, base: Path, whom: str) -> Crl:
        """As `read_crl`; where that is not to be had any more, what was read before: whoever spoils a file takes nothing away."""
        try:
            return self.crl(label, roots, base, whom)
        except Unusable:
            key = ("crl", label, roots.sha256, base, whom)
            if not isinstance(last := self.before.get(key), Crl):
                raise
            # With what is there instead, so that it is read anew once that changes.
            found = self.found[key] = replace(last, files={path: mark_of(path) for path in last.files})
            return found

    def known(self, key: Key, read: Callable[[], Read]) -> Read:
        it = self.found.get(key)
        if it is None:
            it = self.before.get(key)
            if it is None or any(mark_of(path) != mark for path, mark in it.files.items()):
                self.judged += 1
                it = read()
            self.found[key] = it
        return cast("Read", it)

    def settle(self) -> None:
        """Nothing more will be read: what was not asked for again is let go."""
        self.before = {}

"""What an edge holds of its authority's, in a folder that nobody else looks into:

    current -> set-HEX           turned to the next set in one step, so that nobody reads half of two
    set-HEX/pair.pem             key and chain, the edge's own
    set-HEX/roots.pem, crl.pem   by which others are believed that the authority certifies
    set-HEX/bundles/DOMAIN.pem   roots of other trust domains, of what came by SPIFFE

Whoever dies while it writes leaves what was there before. Read next: `client.py`, which brings it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from everyhop.authority.folder import PUBLIC, SECRET, content, locked, replace_all
from everyhop.errors import Surroundings
from everyhop.files import synced
from everyhop.model.identity import BUNDLES, CURRENT, LISTS, PAIR, ROOTS

SET = "set-"
NONE: Mapping[str, bytes] = {}


@dataclass(frozen=True)
class Held:
    """In `at`, which need not be there."""

    at: Path

    @property
    def pair(self) -> Path:
        return self.at / PAIR

    @property
    def roots(self) -> Path:
        return self.at / ROOTS

    @property
    def lists(self) -> Path:
        return self.at / LISTS

    def leaf(self) -> x509.Certificate | None:
        """The certificate in force; `None` where none has come yet. Raises `Surroundings`."""
        if not self.pair.exists():
            return None
        try:
            return x509.load_pem_x509_certificates(content(self.pair))[0]
        except (ValueError, IndexError) as e:
            raise Surroundings(f"{self.pair} holds no certificate that can be read") from e

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """The folder is there and closed, and no other process writes in it meanwhile. Raises `Surroundings`."""
        try:
            self.at.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as e:
            raise Surroundings(f"cannot make {self.at}: {e.strerror}") from e
        if (why := is_open(self.at)) is not None:
            raise Surroundings(why)
        try:
            with locked(self.at):
                yield
        except OSError as e:
            raise Surroundings(f"cannot use {self.at}: {e.strerror}") from e

    def keep(self, pair: bytes, roots: bytes, lists: bytes | None, bundles: Mapping[str, bytes] = NONE) -> None:
        """All of it is in force at once. Within `alone`. Raises `Surroundings`, and then leaves no part of it."""
        name = f"{SET}{secrets.token_hex(8)}"
        into, link = self.at / name, self.at / CURRENT
        try:
            before = link.readlink().name if link.is_symlink() else ""
            into.mkdir(mode=0o700)
            replace_all(
                (into / Path(PAIR).name, pair, SECRET),
                (into / Path(ROOTS).name, roots, PUBLIC),
                *([] if lists is None else [(into / Path(LISTS).name, lists, PUBLIC)]),
            )
            if bundles:
                (beside_it := into / Path(BUNDLES).name).mkdir(mode=0o700)
                replace_all(*((beside_it / f"{domain}.pem", data, PUBLIC) for domain, data in bundles.items()))
            synced(self.at)
            (beside := self.at / f"{name}.next").symlink_to(name)
            beside.replace(link)
            synced(self.at)
            for left in self.at.iterdir():
                # Who reads the set before may be about to open its next file.
                if left.name.startswith(SET) and left.name not in (name, before):
                    shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
        except OSError as e:
            raise Surroundings(f"cannot write in {self.at}: {e.strerror}") from e
        finally:
            with contextlib.suppress(OSError):
                if not (link.is_symlink() and link.readlink().name == name):
                    shutil.rmtree(into, ignore_errors=True)
                    (self.at / f"{name}.next").unlink(missing_ok=True)

    def bundles(self) -> dict[str, bytes]:
        """By trust domain. Within `alone`. Raises `Surroundings`."""
        return {it.stem: content(it) for it in sorted((self.at / BUNDLES).glob("*.pem"))}

    def published(self, roots: bytes, lists: bytes) -> bool:
        """The same pair with other roots or lists; whether they are others. Within `alone`. Raises `Surroundings`."""
        if (roots, lists) == (content(self.roots), content(self.lists)):
            return False
        self.keep(content(self.pair), roots, lists)
        return True


def is_open(at: Path) -> str | None:
    """Why a folder that is there is no place for a key; `None` for one that is closed, or yet to be made."""
    if not os.path.lexists(at):
        return None
    try:
        it = at.stat()
    except OSError as e:
        return f"{at}: {e.strerror}"
    if not stat.S_ISDIR(it.st_mode):
        return f"{at} is no folder"
    if it.st_uid != os.geteuid():
        return f"{at} belongs to another user (uid {it.st_uid}), who could put in a key of their own"
    if it.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return f"{at} can be used by others (mode {stat.S_IMODE(it.st_mode):04o}), and holds the edge's own key"
    return None

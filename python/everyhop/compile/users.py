"""Files of users: names, and hashes of their passwords. Read by the supervisor, judged by the reader that the engine has; of a hash
nothing is told. Read next: `rules_basic.py`."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from everyhop import _door, plan
from everyhop.files import read_regular
from everyhop.identity import Mark, Unusable
from everyhop.identity.mark import mark
from everyhop.model import Basic

MOST_BYTES = 1024 * 1024
MADE = "make another: everyhop password {name}, or htpasswd -B -C 12"
KINDS = {
    "md5": "by MD5 (htpasswd -m, or openssl passwd -apr1), which is guessed billions of times a second",
    "sha1": "by SHA-1 (htpasswd -s), without salt or work: it is looked up",
    "sha-crypt": "by SHA-crypt (htpasswd -2 or -5), which takes no memory to guess",
    "scrypt": "by scrypt or yescrypt, which is not taken here",
    "argon2-other": "by an argon2 other than argon2id of version 1.3",
    "bcrypt-old": "by bcrypt as it was before its fault was found ($2x$, $2$)",
    "plain": "no hash that is known: crypt's of 13 signs, or the password itself",
}
"""What somebody's hash is instead, by the engine's word for it."""


@dataclass(frozen=True)
class Wrong:
    """What is wrong in a line, or worth knowing of it."""

    slug: str
    line: int
    column: int
    width: int
    what: str
    mend: str
    name: str


@dataclass(frozen=True)
class Users:
    """What stands in the file."""

    sealed: str = field(repr=False)
    sha256: str
    names: tuple[str, ...]
    """Sorted."""
    cheap: tuple[Wrong, ...]
    files: dict[Path, Mark]


class Unfit(Exception):
    """Lines of it cannot be used."""

    def __init__(self, wrong: list[Wrong]) -> None:
        super().__init__(f"{len(wrong)} line(s)")
        self.wrong = wrong


def read_users(label: str, base: Path) -> Users:
    """Raises `Unusable` for the whole, and `Unfit` for lines of it."""
    path = base / label
    try:
        data, before = read_regular(path, MOST_BYTES)
        text = data.decode()
    except UnicodeDecodeError as e:
        raise Unusable("users/file", f"{path}: it is no text in UTF-8", "write names in UTF-8") from e
    except (OSError, ValueError) as e:
        why = e.strerror if isinstance(e, OSError) else e
        mend = "check the path, that everyhop may read it, and that it is at most 1 MiB"
        raise Unusable("users/file", f"{path}: {why}", mend) from e
    users, wrong = _door.judge_users(text)
    if wrong:
        raise Unfit([told(label, *it) for it in wrong])
    if not users:
        mend = f"add one: everyhop password NAME >> {label}"
        raise Unusable("users/file", f"{path}: nobody stands in it, so that everybody would be refused", mend)
    cheap = tuple(
        Wrong(
            "users/cheap-hash",
            line,
            1,
            len(name),
            f"the password of {name!r} is guessed quickly by whoever gets a copy of {label}",
            MADE.format(name=name),
            name,
        )
        for name, line, is_cheap in users
        if is_cheap
    )
    names = tuple(sorted(name for name, _, _ in users))
    return Users(base64.b64encode(data).decode(), sha256(data).hexdigest(), names, cheap, {path: mark(before)})


def told(label: str, line: int, column: int, width: int, name: str, why: str, more: str) -> Wrong:
    """What is wrong with a line, by the engine's word for it."""
    made = MADE.format(name=name or "NAME")
    slug, what, mend = {
        "form": ("users/line", f"a line of {label} is not NAME:HASH", made),
        "name": (
            "users/line",
            f"a name of {label} has a control character, blanks around it, or more than 255 bytes",
            "write it as its owner types it; a colon cannot be in it",
        ),
        "twice": (
            "users/said-twice",
            f"{name!r} stands twice in {label}, in line {more} too",
            "keep the line whose password holds",
        ),
        "too-many": (
            "users/file",
            f"{label} has more than 10,000 users",
            "let a service that is made for it ask for passwords: an [[authorizer]], or tokens of an [[issuer]]",
        ),
        "broken": ("users/line", f"the hash of {name!r} in {label} is not whole", made),
        "costly": (
            "users/costly-hash",
            f"the hash of {name!r} in {label} costs more to verify than an edge has to give",
            made,
        ),
        "other": (
            "users/other-hash",
            f"the hash of {name!r} in {label} is {KINDS.get(more, KINDS['plain'])}",
            made,
        ),
    }[why]
    return Wrong(slug, line, column, width, what, mend, name)


def basic(it: Basic, read: Users | None) -> plan.Basic:
    return plan.Basic(
        file=it.file, names=list(read.names) if read is not None else None, realm=it.realm, strip=it.strip
    )


def signed(it: Basic | None, request: plan.Edits) -> plan.Edits:
    """What backends are told of who signed in, among what else is set: in the place of what clients say."""
    if it is None or it.forward is None:
        return request
    name = plan.Edit(name=it.forward.lower(), value=[plan.OfUser(kind="user")])
    return request.model_copy(update={"set": sorted([*request.set, name], key=lambda edit: edit.name)})

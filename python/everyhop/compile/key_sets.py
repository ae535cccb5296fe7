"""Files with the public keys of an issuer of tokens: read by the supervisor, judged by the reader that the engine has."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from everyhop import _door
from everyhop.files import read_regular
from everyhop.identity import Mark, Unusable
from everyhop.identity.mark import mark

MOST_BYTES = 256 * 1024
WRONG = {
    "symmetric": (
        "issuer/symmetric-key",
        "is a secret (kty oct): whoever verifies tokens by it can issue them",
        "have the issuer sign by a key pair, and name the set with its public keys",
    ),
    "private": (
        "issuer/private-key",
        "is the private half, by which whoever reads the file issues tokens",
        "have the issuer make a new key, and name the set with its public keys alone",
    ),
    "weak": (
        "issuer/weak-key",
        "is of RSA with less than 2048 bits, which can be broken",
        "have the issuer make a key of 2048 bits or more, or of P-256",
    ),
    "unreadable": (
        "issuer/keys",
        "cannot be read: something of it is missing, or is not what its kind wants",
        "take the set from the issuer anew",
    ),
}
"""Keys that a set in a file may not hold, by the word of the engine: the slug, what is wrong, and the mend."""


@dataclass(frozen=True)
class KeySet:
    """What stands in the file."""

    text: str = field(repr=False)
    sha256: str
    algorithms: frozenset[str]
    """By what its keys verify."""
    keys: int
    unused: tuple[str, ...]
    """Keys for something else, or of kinds that are not known."""
    files: dict[Path, Mark]


def read_keys(label: str, base: Path) -> KeySet:
    """Raises `Unusable`."""
    path = base / label
    try:
        data, before = read_regular(path, MOST_BYTES)
        text = data.decode()
    except UnicodeDecodeError as e:
        raise Unusable("issuer/keys", f"{path}: it is no text in UTF-8", "take the set from the issuer anew") from e
    except (OSError, ValueError) as e:
        why = e.strerror if isinstance(e, OSError) else e
        mend = f"check the path, that everyhop may read it, and that it is at most {MOST_BYTES // 1024} KiB"
        raise Unusable("issuer/keys", f"{path}: {why}", mend) from e
    mend = 'name a JWK Set, as the issuer publishes it at its jwks_uri: { file = "corp.jwks.json" }'
    try:
        count, algorithms, left_out = _door.judge_keys(text)
    except ValueError as e:
        raise Unusable("issuer/keys", f"{path}: {e}", mend) from e
    for at, kid, why in left_out:
        if why in WRONG:
            slug, what, mend = WRONG[why]
            raise Unusable(slug, f"{path}: {called(at, kid)} {what}", mend)
    if not count:
        raise Unusable("issuer/keys", f"{path}: no key of it could verify a token", mend)
    unused = tuple(f"{called(at, kid)} ({why})" for at, kid, why in left_out)
    return KeySet(text, sha256(data).hexdigest(), frozenset(algorithms), count, unused, {path: mark(before)})


def called(at: int, kid: str | None) -> str:
    return f"key {at + 1}" + (f" ({kid[:64]!r})" if kid else "")

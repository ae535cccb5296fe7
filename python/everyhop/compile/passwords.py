"""Passwords by which the edge is known elsewhere: read by the supervisor, sealed for the engine, and told nowhere."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from everyhop.identity import Mark, Unusable
from everyhop.identity.keys import key_bytes

MOST_BYTES = 4096
TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")


@dataclass(frozen=True)
class Password:
    """What stands in the file, without the end of its line."""

    sealed: str = field(repr=False)
    files: dict[Path, Mark]


def read_password(reference: str, base: Path, environ: Mapping[str, str]) -> Password:
    """Raises `Unusable`."""
    try:
        data, files = key_bytes(reference, base, environ)
    except Unusable as e:
        slug = "store/password-exposed" if e.slug == "certificate/key-exposed" else "store/password"
        raise Unusable(slug, e.what, e.mend.replace("the key's PEM", "the password")) from e
    data = data.rstrip(b"\r\n")
    if not data or len(data) > MOST_BYTES or b"\n" in data:
        what = f"{reference}: a password is one line, of at most {MOST_BYTES} bytes"
        raise Unusable("store/password", what, "write the password alone into it")
    return Password(base64.b64encode(data).decode(), files)


def read_token(reference: str, base: Path, environ: Mapping[str, str]) -> str:
    """A token as a field of HTTP carries it (RFC 6750 §2.1).

    Raises `Unusable`.
    """
    try:
        token = base64.b64decode(read_password(reference, base, environ).sealed).decode("ascii")
    except UnicodeDecodeError:
        token = ""
    except Unusable as e:
        raise Unusable(
            e.slug, e.what.replace("a password", "a token"), e.mend.replace("the password", "the token")
        ) from e
    if not TOKEN.fullmatch(token):
        what = f"{reference}: a token has letters, digits and -._~+/ alone, and = at its end"
        raise Unusable("store/password", what, "write the token alone into it")
    return token

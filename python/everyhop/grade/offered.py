"""What was found out about a server, as data. Nothing is tried or judged here. Read next: `judged.py`."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Shown:
    """A certificate that the server shows, as it describes itself, and what the engine's judge says of it with its chain."""

    sha256: str
    subject: str
    issuer: str
    names: tuple[str, ...]
    kind: str
    """Of its key: `ECDSA`, `RSA`, or what it is."""
    size: str
    """Of its key: bits of RSA, the curve of ECDSA; else nothing."""
    begins: dt.datetime
    ends: dt.datetime
    must_staple: bool
    verified: str
    """`ok`, or a sentence."""
    why: str | None
    """The slug of that sentence."""
    lacks: str | None
    """The certificate between it and a root that the server does not send, where that can be told."""

    @property
    def key(self) -> str:
        return f"{self.kind} {self.size}".strip()

    @property
    def lasts(self) -> dt.timedelta:
        return self.ends - self.begins


@dataclass(frozen=True)
class Hsts:
    """`Strict-Transport-Security` of the answer to `GET /`."""

    state: Literal["said", "not-said", "not-asked"]
    text: str
    """The field's value; or why there was no answer of HTTP to look at."""
    max_age_s: int = 0


@dataclass(frozen=True)
class Offered:
    """What a server took when it was offered that alone."""

    at: str
    name: str
    """By which it was asked for and expected."""
    versions: tuple[str, ...]
    """The newest first."""
    suites: tuple[str, ...]
    """As the policies call them; those that no policy has, as OpenSSL does."""
    groups: tuple[str, ...]
    short_dh: bool
    """It took a group of finite-field Diffie-Hellman of fewer than 2048 bits."""
    shown: tuple[Shown, ...]
    hsts: Hsts
    not_tried: tuple[str, ...]
    """What could not be offered from here, or got no answer, so that nothing is said of it."""

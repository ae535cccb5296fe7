"""Secrets that ticket keys are made of: read by the supervisor, given to the engine as keys are, and told by a fingerprint alone."""

from __future__ import annotations

import base64
import hashlib
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from everyhop import plan
from everyhop.identity import Mark, Unusable
from everyhop.identity.keys import key_bytes, named
from everyhop.model import Tickets

LEAST_BYTES, MOST_BYTES = 32, 4096
HOURS = (1, 84)
"""Of `rotate`. A key seals for that time, and opens what it sealed for as long again: a week at most (RFC 9325 3.4)."""
HEX, BASE64 = 64, 43
"""Digits and characters that 32 bytes take, where they are written as text."""
LEAST_DISTINCT = 10
"""What is random has fewer in one of 10^12 cases, where it is written in hexadecimal; in bytes, never."""
MAKE = "make one in a file of its own: (umask 077; head -c 48 /dev/urandom > FILE)"


@dataclass(frozen=True)
class TicketKey:
    sealed: str = field(repr=False)
    fingerprint: str
    files: dict[Path, Mark]


def sources(it: Tickets) -> list[str]:
    return [it.key] if isinstance(it.key, str) else list(it.key)


def hours(text: str) -> int | None:
    """The number, where it is one that may be."""
    found = re.fullmatch(r"([0-9]{1,3})h", text)
    return int(found[1]) if found and HOURS[0] <= int(found[1]) <= HOURS[1] else None


def shared(it: Tickets | None) -> plan.Tickets | None:
    if it is None:
        return None
    rotate = hours(it.rotate)
    assert rotate is not None, "judged before"
    return plan.Tickets(keys=sources(it), rotate_s=rotate * 3600)


def read_ticket_key(reference: str, base: Path, environ: Mapping[str, str]) -> TicketKey:
    """Raises `Unusable`."""
    try:
        data, files = key_bytes(reference, base, environ)
    except Unusable as e:
        slug = "tickets/key-exposed" if e.slug == "certificate/key-exposed" else "tickets/key"
        raise Unusable(slug, e.what, e.mend.replace("the key's PEM", "the secret")) from e
    if (wrong := unfit(data)) is not None:
        raise Unusable("tickets/key", f"{named(reference, base)} {wrong}", MAKE)
    # What is random cannot be guessed by its digest; what is not is guessed by any ticket as well.
    mark = hashlib.sha256(b"everyhop ticket key\0" + data).hexdigest()
    return TicketKey(base64.b64encode(data).decode(), mark, files)


def unfit(data: bytes) -> str | None:
    """What is wrong with a secret, of which nothing is told but its length and kind."""
    if not data.strip():
        return "is empty"
    if b"-----BEGIN " in data:
        return "is PEM, and a secret of tickets is nothing else"
    text = data.strip() if is_text(data) else data
    kind, least = "bytes", LEAST_BYTES
    if is_text(data):
        kind, least = ("hexadecimal digits", HEX) if {*text} <= {*string.hexdigits.encode()} else ("characters", BASE64)
    if not least <= len(text) <= MOST_BYTES:
        return f"has {len(text)} {kind}; a secret of tickets has {LEAST_BYTES} random bytes at least, and at most {MOST_BYTES}"
    if (distinct := len({*text})) < LEAST_DISTINCT:
        return f"has {distinct} different {kind}: that is not random"
    return None


def is_text(data: bytes) -> bool:
    return data.isascii() and data.decode().strip().isprintable()

"""Everything that was ever issued or taken back: lines of JSON that are only added to, each on the disk before what it tells of
leaves the process.

A last line without its end is one that was being written as the machine stopped: what it tells of went nowhere, and it goes.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from everyhop.authority.certify import BACKDATED
from everyhop.authority.folder import SECRET, content
from everyhop.errors import Surroundings

FILE = "index.jsonl"
MOST_BYTES = 1 << 30
"""Some 700,000 certificates. Beyond it nothing could be issued or taken back any more, so it is far."""
LOST = "  put back the last copy of it: without it nobody knows what is in force"


@dataclass(frozen=True)
class Entry:
    """A certificate that was issued, and whether it was taken back."""

    serial: str
    """In hexadecimal digits, as `openssl x509 -serial` shows it."""
    names: tuple[str, ...]
    use: str
    generation: int
    begins: dt.datetime
    ends: dt.datetime
    lasts: dt.timedelta
    """As it was asked for: with its issuer it may end sooner."""
    pem: str
    revoked: dt.datetime | None = None
    reason: str = ""

    def in_force(self, now: dt.datetime) -> bool:
        return self.revoked is None and now < self.ends


@dataclass(frozen=True)
class Invitation:
    """A one-time token, by its hash: for which names, and the certificate that it became."""

    sha256: str
    names: tuple[str, ...]
    use: str
    lasts: dt.timedelta
    """Of the certificate."""
    ends: dt.datetime
    became: str | None = None
    """The serial of its certificate, once it was used."""
    withdrawn: dt.datetime | None = None

    def good(self, now: dt.datetime) -> bool:
        return self.became is None and self.withdrawn is None and now < self.ends


@dataclass(frozen=True)
class Index:
    """What the file says, in the order in which it happened."""

    entries: dict[str, Entry]
    invitations: dict[str, Invitation]
    lists: int
    """How many revocation lists were numbered."""
    whole: int
    """Bytes of whole lines."""


def read(folder: Path) -> Index:
    """Raises `Surroundings` for a file that is damaged, or not there: who was taken back would be forgotten with it."""
    path = folder / FILE
    data = content(path, MOST_BYTES) if path.exists() else b""
    whole = data.rfind(b"\n") + 1
    if not whole:
        raise Surroundings(f"{path} is gone, or empty; nothing was done", LOST)
    entries: dict[str, Entry] = {}
    invitations: dict[str, Invitation] = {}
    lists = 0
    for n, line in enumerate(data[:whole].splitlines(), 1):
        try:
            told = json.loads(line)
            match told["event"]:
                case "issued":
                    entries[told["serial"]] = entry(told)
                    if (token := told.get("token")) is not None:
                        invitations[token] = replace(invitations[token], became=told["serial"])
                case "invited":
                    invitations[told["sha256"]] = invitation(told)
                case "withdrawn":
                    at = dt.datetime.fromisoformat(told["at"])
                    invitations[told["sha256"]] = replace(invitations[told["sha256"]], withdrawn=at)
                case "revoked":
                    was = entries[told["serial"]]
                    at = dt.datetime.fromisoformat(told["at"])
                    # Nobody is to believe in it since the first time, whatever is known of it later.
                    entries[was.serial] = replace(was, revoked=was.revoked or at, reason=told["reason"])
                case "list":
                    lists = int(told["number"])
                case "begun":
                    pass
                case _:
                    raise ValueError
        except (ValueError, KeyError, TypeError) as e:
            raise Surroundings(f"{path}:{n} is damaged ({type(e).__name__}); nothing was done", LOST) from e
    return Index(entries, invitations, lists, whole)


def entry(told: dict[str, Any]) -> Entry:
    begins, ends = (dt.datetime.fromisoformat(told[key]) for key in ("begins", "ends"))
    # Lines from before it was written down say how long it lasts alone.
    lasts_s = told.get("lasts_s", (ends - begins - BACKDATED).total_seconds())
    return Entry(
        serial=told["serial"],
        names=tuple(told["names"]),
        use=told["for"],
        generation=int(told["generation"]),
        begins=begins,
        ends=ends,
        lasts=dt.timedelta(seconds=int(lasts_s)),
        pem=told["certificate"],
    )


def invitation(told: dict[str, Any]) -> Invitation:
    return Invitation(
        sha256=told["sha256"],
        names=tuple(told["names"]),
        use=told["for"],
        lasts=dt.timedelta(seconds=int(told["lasts_s"])),
        ends=dt.datetime.fromisoformat(told["ends"]),
    )


def begin(folder: Path, now: dt.datetime) -> None:
    """Its first line: an authority that has none has lost its index.

    Raises `Surroundings`.
    """
    add(folder, 0, {"event": "begun", "at": now.isoformat()})


def add(folder: Path, whole: int, told: dict[str, Any]) -> int:
    """Adds a line behind the whole ones, and gives how many bytes are whole now. Under the folder's lock alone.

    Raises `Surroundings`, and then the line is not there.
    """
    line = json.dumps(told).encode() + b"\n"
    try:
        handle = os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, SECRET)
        try:
            os.ftruncate(handle, whole)
            written(handle, line, whole)
            os.fsync(handle)
        except OSError:
            os.ftruncate(handle, whole)
            raise
        finally:
            os.close(handle)
    except OSError as e:
        raise Surroundings(f"cannot write {folder / FILE}: {e.strerror}") from e
    return whole + len(line)


def written(handle: int, data: bytes, at: int) -> None:
    while data:
        n = os.pwrite(handle, data, at)
        data, at = data[n:], at + n

"""Certificates that somebody takes back, until the authority knows of it (RFC 8555 §7.6): what is kept of each, as orders are.

    revocations/SERIAL.json    why, of whom, and how far it has come
    revocations/SERIAL.pem     the certificate; with its key where that alone may have to sign, for as long as it may

It asks nobody: read next `by_hand.py`, which does.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from everyhop.acme.judge import Chain
from everyhop.acme.problem import Problem, Stopped
from everyhop.acme.store import Store

FOLDER = "revocations"
REASONS = {
    "unspecified": 0,
    "key-compromise": 1,
    "affiliation-changed": 3,
    "superseded": 4,
    "cessation-of-operation": 5,
}
"""RFC 5280 §5.3.1, those that are for whoever has the certificate."""
At = Literal["replacing", "revoking", "revoked", "refused"]
"""Another one is to be served first; the authority is to be told; it knows; it says no."""


@dataclass(frozen=True)
class Revocation:
    """Of one certificate."""

    serial: str
    """In small hexadecimal digits, as `openssl x509 -serial` has it."""
    site: str
    folder: str
    """Of the site, in the store."""
    kind: str
    mark: str
    """Of its chain, by which it is seen whether it is shown yet (`judge.mark_of`)."""
    authority: str
    """The URL of whoever issued it."""
    reason: str
    only: bool
    """Without another one first."""
    ends: float
    """When the certificate does: nothing is kept of it after that."""
    at: At = "replacing"
    failures: int = 0
    next_at: float = 0.0
    problem: Problem | None = None

    @property
    def open(self) -> bool:
        return self.at in {"replacing", "revoking"}

    def told(self) -> dict[str, object]:
        """For a person."""
        problem = None if self.problem is None else str(self.problem)
        about = {"serial": self.serial, "site": self.site, "key": self.kind, "reason": self.reason}
        return {**about, "is": self.at, "problem": problem}

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"problem": self.problem.as_json() if self.problem else None}

    @classmethod
    def from_json(cls, it: Mapping[str, Any]) -> Revocation:
        """Raises `LookupError`, `TypeError` or `ValueError` for what is none."""
        if it["at"] not in get_args(At) or it["reason"] not in REASONS:
            raise ValueError(it["at"], it["reason"])
        text = {name: str(it[name]) for name in ("serial", "site", "folder", "kind", "mark", "authority", "reason")}
        numbers = {"ends": float(it["ends"]), "failures": int(it["failures"]), "next_at": float(it["next_at"])}
        problem = Problem.from_json(it["problem"]) if it["problem"] else None
        return cls(**text, **numbers, only=it["only"] is True, at=it["at"], problem=problem)  # type: ignore[arg-type]


def serial_of(chain: Chain) -> str:
    return f"{chain.leaf.serial_number:x}".zfill(2)


class Revocations:
    """In the store; by their serial numbers. One thread changes it, any may read `all`."""

    def __init__(self, store: Store, now: dt.datetime) -> None:
        self.store = store
        self.all: dict[str, Revocation] = {}
        for path in sorted((store.folder / FOLDER).glob("*.json")):
            with contextlib.suppress(Stopped, LookupError, TypeError, ValueError):
                it = Revocation.from_json(store.read_json(f"{FOLDER}/{path.name}") or {})
                self.all[it.serial] = it
        for it in list(self.all.values()):
            # Whoever died before has said so and left the key.
            if it.ends < now.timestamp() or it.at == "revoked":
                self.forget_key(it, whole=it.ends < now.timestamp())

    def begin(self, it: Revocation, pem: bytes) -> None:
        """What it takes first, then that it is to be done. Raises `Stopped`."""
        self.store.write(f"{FOLDER}/{it.serial}.pem", pem)
        self.put(it)

    def put(self, it: Revocation) -> None:
        """Raises `Stopped`; it is known here all the same."""
        # Anew, not changed: another thread may be reading.
        self.all = {**self.all, it.serial: it}
        self.store.write_json(f"{FOLDER}/{it.serial}.json", it.as_json())

    def pem(self, it: Revocation) -> bytes | None:
        """Raises `Stopped`."""
        return self.store.read(f"{FOLDER}/{it.serial}.pem")

    def forget_key(self, it: Revocation, *, whole: bool = False) -> None:
        with contextlib.suppress(Stopped):
            self.store.remove(f"{FOLDER}/{it.serial}.pem")
            if whole:
                self.store.remove(f"{FOLDER}/{it.serial}.json")
                self.all = {serial: one for serial, one in self.all.items() if serial != it.serial}

    def is_unwanted(self, chain: Chain) -> bool:
        """It is revoked, or is to be: another one is wanted."""
        it = self.all.get(serial_of(chain))
        return it is not None and it.at != "refused"

    def is_revoked(self, chain: Chain) -> bool:
        """The authority has taken it back: neither it nor its key is used again."""
        it = self.all.get(serial_of(chain))
        return it is not None and it.at == "revoked"

    def goes_on(self, it: Revocation, at: At) -> Revocation:
        """The next of its steps. Raises `Stopped`."""
        it = replace(it, at=at, failures=0, next_at=0.0, problem=None)
        self.put(it)
        return it

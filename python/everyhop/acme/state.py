"""What is kept of a site and of the authorities between two steps, as JSON. What cannot be read of it is as if it never was.

Times are seconds since 1970. Read next: `keeper.py`.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Any

from everyhop.acme.backoff import LONGEST_S
from everyhop.acme.client import moment
from everyhop.acme.due import SELDOMEST, Window
from everyhop.acme.problem import Problem
from everyhop.acme.store import Store


@dataclass
class Renewal:
    """Of one certificate: where its renewal lies, and by whom it was issued."""

    lot: float = 0.0
    window: Window | None = None
    ask_at: float = 0.0
    authority: str = ""
    issued: list[float] = field(default_factory=list)
    """When certificates for these names and this kind of key were ordered to be issued, of late."""
    asked: bool = False
    """Somebody wants another one now: until there is one."""


@dataclass
class SiteState:
    """Of one site."""

    names: tuple[str, ...] = ()
    failures: int = 0
    """In a row."""
    next_at: float = 0.0
    wait_s: float = 0.0
    """What `next_at` was from when it was set: a clock that is set back must not make it longer."""
    turn: int = 0
    refused: list[float] = field(default_factory=list)
    rests: dict[str, float] = field(default_factory=dict)
    """Authorities that want to hear nothing of this site until then, by their URL."""
    problem: Problem | None = None
    renewals: dict[str, Renewal] = field(default_factory=dict)

    def wait(self, now: float, seconds: float) -> None:
        self.next_at, self.wait_s = now + seconds, seconds

    def back_to(self, now: float) -> None:
        """No wait is longer than it was meant to be, whatever clock it was noted by."""
        self.next_at = min(self.next_at, now + self.wait_s)
        self.rests = {url: min(at, now + LONGEST_S["limited"]) for url, at in self.rests.items()}
        for it in self.renewals.values():
            it.ask_at = min(it.ask_at, now + SELDOMEST.total_seconds())

    def as_json(self) -> dict[str, Any]:
        return {
            "names": list(self.names),
            "failures": self.failures,
            "next_at": self.next_at,
            "wait_s": self.wait_s,
            "turn": self.turn,
            "refused": self.refused,
            "rests": self.rests,
            "problem": self.problem.as_json() if self.problem else None,
            "renewals": {
                kind: {
                    "lot": it.lot,
                    "window": [it.window.start.isoformat(), it.window.end.isoformat()] if it.window else None,
                    "ask_at": it.ask_at,
                    "authority": it.authority,
                    "issued": it.issued,
                    "asked": it.asked,
                }
                for kind, it in self.renewals.items()
            },
        }


def site_state(store: Store, path: str) -> SiteState:
    """Raises `Stopped` where the file is there and cannot be read at all."""
    found = store.read_json(path)
    it = SiteState()
    with contextlib.suppress(LookupError, TypeError, ValueError, AttributeError):
        if found is not None:
            it = SiteState(
                tuple(str(name) for name in found["names"]),
                int(found["failures"]),
                float(found["next_at"]),
                float(found["wait_s"]),
                int(found["turn"]),
                [float(at) for at in found["refused"]],
                {str(url): float(at) for url, at in found["rests"].items()},
                Problem.from_json(found["problem"]) if found["problem"] else None,
                {str(kind): renewal(one) for kind, one in found["renewals"].items()},
            )
    return it


def renewal(found: dict[str, Any]) -> Renewal:
    window = Window(moment(found["window"][0]), moment(found["window"][1])) if found["window"] else None
    issued = [float(at) for at in found["issued"]]
    return Renewal(
        float(found["lot"]), window, float(found["ask_at"]), str(found["authority"]), issued, found.get("asked") is True
    )


@dataclass
class Standing:
    """How it stands with an authority."""

    failures: int = 0
    rests_until: float = 0.0
    orders: list[float] = field(default_factory=list)
    """When they were placed, of late."""
    problem: Problem | None = None

    def as_json(self) -> dict[str, Any]:
        problem = self.problem.as_json() if self.problem else None
        return {"failures": self.failures, "rests_until": self.rests_until, "orders": self.orders, "problem": problem}


def standings(store: Store, path: str) -> dict[str, Standing]:
    """By the authorities' URLs. Raises `Stopped` as `site_state`."""
    out = {}
    for url, it in (store.read_json(path) or {}).items():
        with contextlib.suppress(LookupError, TypeError, ValueError, AttributeError):
            problem = Problem.from_json(it["problem"]) if it["problem"] else None
            orders = [float(at) for at in it["orders"]]
            out[url] = Standing(int(it["failures"]), float(it["rests_until"]), orders, problem)
    return out

"""The running edge, as a migration asks it: whether it runs this file, what a backend's hop has counted, and to read the file anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

from everyhop.admin import Client
from everyhop.errors import EveryhopError, Surroundings

WORSE = {"ejected", "down", "closed", "unresolved"}


class Silent(Surroundings):
    """The edge runs, and its engine does not answer."""


@dataclass(frozen=True)
class Counts:
    """Since the engine knows that hop; of the route where `route` says so."""

    requests: int = 0
    failed: int = 0
    why: str = ""
    """The slugs of what failed."""
    identity: str = "unknown"
    state: str = "up"
    route_answers: int = 0
    route_5xx: int = 0

    def since(self, before: Counts) -> Counts:
        return Counts(
            max(self.requests - before.requests, 0),
            max(self.failed - before.failed, 0),
            self.why,
            self.identity,
            self.state,
            max(self.route_answers - before.route_answers, 0),
            max(self.route_5xx - before.route_5xx, 0),
        )


class Running:
    """Of the configuration `main`."""

    def __init__(self, main: Path) -> None:
        self.main = main

    def status(self) -> dict[str, Any]:
        """Raises `Surroundings` where no edge runs this file, and `Silent` where its engine does not answer."""
        client = Client(str(self.main))
        told = client.ask("status")
        supervisor, engine = told["supervisor"], told["engine"]
        if not isinstance(supervisor, dict) or not isinstance(engine, dict):
            raise Silent("the engine does not answer; the supervisor is looking after it")
        if Path(supervisor["config"]).resolve() != self.main.resolve():
            raise Surroundings(f"the edge that answers at {client.path} runs {supervisor['config']}, not {self.main}")
        return told

    def differs(self, digest: str) -> bool:
        """Whether it runs another plan than that; what was drained or switched by hand is no difference."""
        supervisor = self.status()["supervisor"]
        by_hand = supervisor["maintenance"] or supervisor["drained"]
        return bool(not by_hand and supervisor["plan_digest"] != digest)

    def reload(self) -> None:
        """Raises `EveryhopError` with what it says, where it does not take the file."""
        told = Client(str(self.main)).ask("reload")
        if not told.get("reloaded"):
            raise untaken(told)

    def counts(self, name: str, at: str, tls: str) -> Counts:
        return counted(self.status()["engine"], name, at, tls)


def untaken(told: Mapping[str, Any]) -> EveryhopError:
    """What it says where it does not take the file. Pure."""
    found = told.get("findings")
    said = [f"  [{it['slug']}] {it['what']}" for it in (found if isinstance(found, list) else [])]
    return EveryhopError(f"the running edge did not take the file: {told.get('why') or 'it was refused'}", *said)


def counted(engine: Mapping[str, Any], name: str, at: str, tls: str) -> Counts:
    """Pure."""
    route = next((it for it in engine["routes"] if it["name"] == name), None)
    if route is None:
        return Counts()
    answered = route["answered"]
    whole = {"route_answers": sum(answered.values()), "route_5xx": answered.get("5xx", 0)}
    every = [b for it in engine["routes"] for b in it["backends"] if (b["at"], b["tls"]) == (at, tls)]
    mine = next((b for b in route["backends"] if (b["at"], b["tls"]) == (at, tls)), None)
    if mine is None:
        return Counts(failed=max((sum(b["failed"].values()) for b in every), default=0), **whole)
    failed = mine["failed"]
    why = ", ".join(f"{slug} x{n}" for slug, n in sorted(failed.items()))
    return Counts(mine["requests"], sum(failed.values()), why, mine["identity"], mine["state"], **whole)


def worse(plain: Counts, now: Counts) -> str | None:
    """Why a hop does worse than it did before it was moved; `None` where it does not. Pure."""
    if now.identity == "refused":
        return "it refuses our certificate"
    if now.identity == "not_demanded":
        return "it did not ask who we are"
    if now.state in WORSE:
        return f"it is {now.state}" + (f": {now.why}" if now.why else "")
    if now.failed > bearable(plain.failed, plain.requests, now.requests):
        return f"{now.failed} of its tries failed: {now.why}"
    if now.route_5xx > bearable(plain.route_5xx, plain.route_answers, now.route_answers):
        return f"{now.route_5xx} of the route's {now.route_answers} answers were 500 or more"
    return None


def bearable(errors: int, of: int, now: int) -> float:
    """How many errors among `now` are no more than there were before, and than chance makes of that: three standard deviations.
    Where there were none before, none."""
    usual = now * errors / of if of else 0.0
    return usual + 3 * sqrt(usual) + (1 if usual else 0)

"""The engine's own matcher, asked through the door: what requests get under a plan, and what two plans do differently.

Everything that Python says of who gets what is asked here; there is no second matcher. Read next: `crates/decide`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any, Literal

from everyhop import _door
from everyhop.plan.forms import Plan, canonical
from everyhop.plan.listener import Listener


@dataclass(frozen=True)
class Question:
    """One connection and the request in it, as the wire would put it."""

    host: str
    path: str = "/"
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    sni: str | None = None
    """Canonical; `None`: the hello names nobody."""
    listener: str | None = None
    """`None`: the plan's first that speaks TLS."""
    client: tuple[str, ...] | None = None
    """Names that the client proved; `None`: one that every allow-list would take."""
    address: str | None = None
    """Where it comes from; `None`: where every list of networks would take it."""
    upgrade: str | None = None
    """The protocol that it asks to switch to."""


@dataclass(frozen=True)
class Outcome:
    """What becomes of it: bytes spliced to a passthrough route, TLS ended at a site and the request passed to a route, in
    the clear and sent to https, or refused. Sites and routes by their index in the plan."""

    verdict: Literal["splice", "terminate", "redirect", "refuse"]
    site: int | None
    route: int | None
    slug: str | None
    """Why it goes to no route."""

    @property
    def served(self) -> bool:
        return self.verdict in ("splice", "terminate")


@dataclass(frozen=True)
class Request:
    """A request that stands for all that two plans treat alike, and what each of them does with it."""

    host: str
    pattern: str
    """The pattern that the host stands for."""
    listener: str
    """The listener where it comes, by its name in the new plan, or in the old one if it is gone; empty for those that nobody names."""
    path: str
    method: str
    headers: tuple[tuple[str, str], ...]
    old: Outcome
    new: Outcome

    def __str__(self) -> str:
        """As a person writes it; the usual method is left out, and all but the name where nothing is read."""
        at = f" at listener {self.listener!r}" if self.listener else ""
        if not self.method:
            return self.pattern + at
        fields = "".join(f" {name}: {value}" for name, value in self.headers)
        return f"{self.method} {self.pattern}{self.path}{fields}".removeprefix("GET ") + at


@dataclass(frozen=True)
class Name:
    """A pattern of either plan: who ends the TLS of a hello that it stands for. Sites and passthrough routes by index."""

    pattern: str
    old: tuple[Literal["splice", "terminate", "refuse"], int | None]
    new: tuple[Literal["splice", "terminate", "refuse"], int | None]
    plain: bool
    """Asked of requests that come in the clear: there is no hello, and no TLS that would end."""


@dataclass(frozen=True)
class Apart:
    """Everything that two plans do, side by side: each name, and each pair of outcomes once."""

    names: tuple[Name, ...]
    requests: tuple[Request, ...]


@dataclass(frozen=True)
class Tie:
    """Two routes, by their index, that some request fits alike, so that only their order decides."""

    first: int
    late: int
    host: str
    path: str


class Contradictory(ValueError):
    """A plan with all that one has, of which two parts contradict each other, so that nothing can be matched."""


def ties(plan: Plan | str) -> list[Tie]:
    return [Tie(**it) for it in json.loads(_door.ties(text_of(plan)))]


def text_of(plan: Plan | str) -> str:
    """The plan as the matcher reads it: made once by whoever asks more than once."""
    return plan if isinstance(plan, str) else canonical(plan.model_dump(mode="json"))


def decide(plan: Plan | str, questions: list[Question]) -> list[Outcome]:
    """What each question gets.

    Raises `ValueError` for a plan that cannot be matched.
    """
    asked = json.dumps([asdict(q) for q in questions])
    return [Outcome(**given) for given in json.loads(_door.decide(text_of(plan), asked))]


def apart(old: Plan | str, new: Plan | str) -> Apart:
    """What two plans do with every name and every kind of request.

    Raises `Contradictory` where one is a plan and cannot be matched, and `ValueError` for what is no plan: that is a fault of whoever
    made it, and nothing that a configuration can say.
    """
    before = text_of(old)
    after = before if new is old else text_of(new)
    try:
        found = json.loads(_door.differences(before, after))
    except ValueError as e:
        for text in (before, after):
            _door.read_plan(text)
        raise Contradictory(str(e)) from e

    def end(it: dict[str, Any]) -> tuple[Literal["splice", "terminate", "refuse"], int | None]:
        return it["verdict"], it["route"] if it["verdict"] == "splice" else it["site"]

    requests = [
        Request(
            host=it["host"],
            pattern=it["pattern"],
            listener=it["listener"],
            path=it["path"],
            method=it["method"],
            headers=tuple((name, value) for name, value in it["headers"]),
            old=Outcome(**it["old"]),
            new=Outcome(**it["new"]),
        )
        for it in found["requests"]
    ]
    names = [Name(it["pattern"], end(it["old"]), end(it["new"]), it["plain"]) for it in found["names"]]
    return Apart(tuple(names), tuple(requests))


def reached(plan: Plan) -> dict[int, dict[int, Request]]:
    """By route: the sites inside which some request reaches it, each with such a request."""
    found: dict[int, dict[int, Request]] = defaultdict(dict)
    for it in apart(plan, plan).requests:
        if it.old.verdict == "terminate" and it.old.route is not None and it.old.site is not None:
            found[it.old.route].setdefault(it.old.site, it)
    return found


def heard(plan: Plan) -> dict[int, list[str]]:
    """By route: the names of the listeners by which it is reached, in the plan's order; nothing where no site and no route
    names one, none serves in the clear, and all are reached by all."""
    named = plan.named_listeners
    if not named:
        return {}
    found: dict[int, set[str]] = defaultdict(set)
    for it in apart(plan, plan).requests:
        if it.old.served:
            found[it.old.route or 0].add(it.listener)
    going_on = [it.name for it in plan.listeners if it.goes_on]
    return {
        i: [name for name in going_on if (name if name in named else "") in found[i]] for i in range(len(plan.routes))
    }


def in_the_clear(plan: Plan) -> dict[int, list[Listener]]:
    """By route: the listeners by which requests come to it in the clear."""
    serving = {it.name: it for it in plan.listeners if it.serves_plain}
    if not serving:
        return {}
    return {i: found for i, by in heard(plan).items() if (found := [serving[name] for name in by if name in serving])}

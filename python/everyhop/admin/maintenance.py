"""Routes that somebody switched to maintenance: until a moment the edge answers for them itself, with 503 and when to come
again. The plan that runs says so; the configuration does not, and a reload changes nothing of it. What is switched is kept in
our runtime folder until it is over, so that neither an engine nor a supervisor that is started anew opens a route early.

Read next: `keeper.py`, which brings the plan.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from email.utils import format_datetime
from pathlib import Path

from everyhop.admin.kept import Kept
from everyhop.admin.telling import say
from everyhop.compile import Compiled
from everyhop.errors import EveryhopError
from everyhop.plan import AtBackend, Edit, Given, Here, Plan, Route, Text, Words, canonical, digest

LONGEST = dt.timedelta(days=30)
"""What is down for longer is decided, and belongs into the file: `answer`."""


@dataclass(frozen=True)
class Down:
    """One route, until when, and what its clients are told."""

    until: dt.datetime
    text: str
    html: bool = False
    """The text is a page for browsers."""

    def given(self) -> Given:
        fields = {
            "cache-control": "no-store",
            "content-type": f"text/{'html' if self.html else 'plain'}; charset=utf-8",
            "retry-after": format_datetime(self.until, usegmt=True),
        }
        return Given(
            status=503,
            location=None,
            fields=[Edit(name=n, value=[Text(kind="text", text=v)]) for n, v in fields.items()],
            body=Words(kind="words", text=self.text),
        )


def default_text(until: dt.datetime) -> str:
    return f"503 Service Unavailable\n\nthis is down for maintenance until {until:%Y-%m-%d %H:%M} UTC.\n"


def over(compiled: Compiled, down: Mapping[str, Down]) -> Compiled:
    """The same with those routes answered by the edge. Pure."""
    if not any(route.name in down and can_answer(route) for route in compiled.plan.routes):
        return compiled
    routes = [
        route.model_copy(update={"way": shut(route, down[route.name])})
        if route.name in down and can_answer(route)
        else route
        for route in compiled.plan.routes
    ]
    plan = compiled.plan.model_copy(update={"routes": routes})
    text = canonical(plan.model_dump(mode="json"))
    return replace(compiled, plan=plan, plan_json=text, plan_digest=digest(text))


def can_answer(route: Route) -> bool:
    """Only where the edge reads requests."""
    return not isinstance(route.way, AtBackend) and not route.way.is_stream


def shut(route: Route, down: Down) -> Here:
    way = route.way
    assert not isinstance(way, AtBackend)
    return Here(
        ends="here",
        path=way.path,
        methods=way.methods,
        headers=way.headers,
        allow_clients=way.allow_clients,
        allow_networks=way.allow_networks,
        gives=down.given(),
    )


class Maintenance:
    """Of the file `config`. `bring` has the engine run what was decided, with what is switched now.

    Keeps: what was switched, where the engine does not take it.
    """

    def __init__(self, config: Path) -> None:
        self.file = Kept(config, "maintenance", "what is down for maintenance")
        self.down: dict[str, Down] = self.kept(dt.datetime.now(dt.UTC))

    def over(self, compiled: Compiled) -> Compiled:
        return over(compiled, self.down)

    def switch(
        self,
        plan: Plan,
        name: str,
        until: dt.datetime | None,
        said: tuple[str | None, bool],
        now: dt.datetime,
        bring: Callable[[], None],
    ) -> dict[str, object]:
        """`until`: `None` ends it. `said`: what clients are told, if it is not the usual, and whether that is a page. What cannot be done is told, and changes nothing."""
        why = self.wrong(plan, name, until, now)
        if why is not None:
            return {"switched": False, "why": why}
        after = {other: it for other, it in self.down.items() if other != name}
        if until is not None:
            text, html = said
            after[name] = Down(until, default_text(until)) if text is None else Down(until, text, html)
        try:
            self.changed(after, bring)
        except (EveryhopError, OSError) as e:
            return {"switched": False, "why": str(e)}
        say(f"route {name} is down for maintenance until {moment(until)}" if until else f"route {name} is back")
        return {"switched": True, "route": name, "until": until and moment(until)}

    def wrong(self, plan: Plan, name: str, until: dt.datetime | None, now: dt.datetime) -> str | None:
        route = next((r for r in plan.routes if r.name == name), None)
        if until is None:
            return None if name in self.down else f"route {name!r} is not down for maintenance"
        if route is None:
            return f"there is no route {name!r}; there are {', '.join(r.name for r in plan.routes) or 'none'}"
        if not can_answer(route):
            what = "passes TLS through" if isinstance(route.way, AtBackend) else "carries TCP"
            return f"route {name!r} {what}: the edge reads no request there, and can answer none"
        if until <= now:
            return f"{moment(until)} is over"
        return (
            f"{moment(until)} is more than {LONGEST.days} days away: write an answer into the file"
            if until - now > LONGEST
            else None
        )

    def look(self, bring: Callable[[], None]) -> None:
        """Ends what is over."""
        now = dt.datetime.now(dt.UTC)
        ended = sorted(name for name, it in self.down.items() if it.until <= now)
        if ended:
            self.changed({name: it for name, it in self.down.items() if name not in ended}, bring)
            say(f"maintenance is over, back: {', '.join(ended)}")

    def changed(self, after: dict[str, Down], bring: Callable[[], None]) -> None:
        before, self.down = self.down, after
        try:
            bring()
        except BaseException:
            self.down = before
            raise
        self.file.keep(
            {name: {"until": it.until.isoformat(), "text": it.text, "html": it.html} for name, it in after.items()}
        )

    def told(self, plan: Plan) -> list[dict[str, object]]:
        """`holds`: the plan that runs has the route, and answers for it."""
        answered = {r.name for r in plan.routes if can_answer(r)}
        return [
            {"route": name, "until": moment(it.until), "holds": name in answered}
            for name, it in sorted(self.down.items())
        ]

    def kept(self, now: dt.datetime) -> dict[str, Down]:
        """What was switched and is not over."""
        try:
            found = self.file.found()
            down = {
                str(name): Down(dt.datetime.fromisoformat(it["until"]), str(it["text"]), it.get("html") is True)
                for name, it in found.items()
            }
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            self.file.unreadable(e)
            return {}
        left = {name: it for name, it in down.items() if it.until > now}
        if not left:
            self.file.forget()
        return left


def moment(at: dt.datetime) -> str:
    return f"{at.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"

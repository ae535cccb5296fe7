"""Backends that somebody drained: they take nothing new, and what is under way there goes on to its end. The plan that runs
gives them weight 0; the configuration does not, and a reload changes nothing of it. What is drained is kept in our runtime
folder until it is ended by the same command.

Read next: `keeper.py`, which brings the plan.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from everyhop.admin.kept import Kept
from everyhop.admin.telling import say
from everyhop.compile import Compiled
from everyhop.compile.names import address
from everyhop.errors import EveryhopError
from everyhop.plan import AtBackend, AtEdge, ByTurns, Here, Plan, Route, Share, Spread, canonical, digest

Drained = Mapping[str, frozenset[str]]
"""By route: its backends' addresses in their one form."""


def over(compiled: Compiled, drained: Drained) -> Compiled:
    """The same with those backends at weight 0. Pure."""
    routes = [with_drained(route, drained.get(route.name, frozenset())) for route in compiled.plan.routes]
    if all(new is old for new, old in zip(routes, compiled.plan.routes, strict=True)):
        return compiled
    plan = compiled.plan.model_copy(update={"routes": routes})
    text = canonical(plan.model_dump(mode="json"))
    return replace(compiled, plan=plan, plan_json=text, plan_digest=digest(text))


def with_drained(route: Route, drained: frozenset[str]) -> Route:
    way, at = route.way, addresses(route)
    if isinstance(way, Here) or not drained.intersection(at):
        return route
    before = spread(way)
    shares = [
        share.model_copy(update={"weight": 0}) if name in drained else share
        for name, share in zip(at, before.shares, strict=True)
    ]
    after = before.model_copy(update={"shares": shares})
    return route.model_copy(update={"way": way.model_copy(update={"spread": after})})


def spread(way: AtBackend | AtEdge) -> Spread:
    """How its backends take turns, also where nothing is said of it."""
    alike = [Share(weight=1, backup=False, zone=None) for _ in way.backends]
    return way.spread or Spread(by=ByTurns(kind="turns"), shares=alike, sticky=None, health=None, slow_start_s=0)


def addresses(route: Route) -> list[str]:
    match route.way:
        case AtBackend():
            return [str(place) for place in route.way.backends]
        case AtEdge():
            return [str(backend.at) for backend in route.way.backends]
    return []


def left(route: Route, drained: frozenset[str]) -> list[str]:
    """Backends that take something new beside those."""
    if isinstance(route.way, Here):
        return []
    shares = spread(route.way).shares
    return [at for at, share in zip(addresses(route), shares, strict=True) if share.weight > 0 and at not in drained]


class Drains:
    """Of the file `config`. `bring` has the engine run what was decided, with what is drained now.

    Keeps: what was drained, where the engine does not take it.
    """

    def __init__(self, config: Path) -> None:
        self.file = Kept(config, "drained", "what is drained")
        self.drained: Drained = self.kept()

    def over(self, compiled: Compiled) -> Compiled:
        return over(compiled, self.drained)

    def begin(
        self, plan: Plan, name: str, text: str, bring: Callable[[], None], *, last_too: bool = False
    ) -> dict[str, object]:
        """What cannot be done is told, and changes nothing. `last_too`: also where nobody is left who takes requests."""
        at = canonical_address(text)
        route = next((r for r in plan.routes if r.name == name), None)
        if route is None:
            return no(f"there is no route {name!r}; there are {', '.join(r.name for r in plan.routes) or 'none'}")
        if not (there := addresses(route)):
            return no(f"route {name!r} is answered by the edge itself: there is no backend")
        if at not in there:
            return no(f"route {name!r} has no backend {text!r}; it has {', '.join(there)}")
        before = self.drained.get(name, frozenset())
        if at in before:
            return no(f"{at} of route {name!r} is drained already")
        rest = left(route, before | {at})
        if not rest and not last_too:
            return no(f"{at} is the last backend of route {name!r} that takes anything: its requests would be refused")
        told = self.changed({**self.drained, name: before | {at}}, bring)
        if told is not None:
            return told
        say(f"backend {at} of route {name} is drained: it takes nothing new" + ("" if rest else ", and no other does"))
        return {"switched": True, "route": name, "at": at, "drained": True, "left": rest}

    def end(self, plan: Plan, name: str, text: str, bring: Callable[[], None]) -> dict[str, object]:
        at, before = canonical_address(text), self.drained.get(name, frozenset())
        if at not in before:
            return no(f"{at} of route {name!r} is not drained")
        told = self.changed({**self.drained, name: before - {at}}, bring)
        if told is not None:
            return told
        say(f"backend {at} of route {name} is drained no more")
        route = next((r for r in plan.routes if r.name == name), None)
        rest = left(route, before - {at}) if route else []
        return {"switched": True, "route": name, "at": at, "drained": False, "left": rest}

    def changed(self, after: Drained, bring: Callable[[], None]) -> dict[str, object] | None:
        """Why not, if not."""
        before, self.drained = self.drained, {name: each for name, each in after.items() if each}
        try:
            bring()
        except (EveryhopError, OSError) as e:
            self.drained = before
            return no(str(e))
        except BaseException:
            self.drained = before
            raise
        self.file.keep({name: sorted(each) for name, each in self.drained.items()})
        return None

    def told(self, plan: Plan) -> list[dict[str, object]]:
        """`holds`: the plan has that backend. `left`: others of its route that take something."""
        routes = {r.name: r for r in plan.routes}
        out: list[dict[str, object]] = []
        for name, each in sorted(self.drained.items()):
            there = addresses(routes[name]) if name in routes else []
            rest = left(routes[name], each) if name in routes else []
            out += [{"route": name, "at": at, "holds": at in there, "left": rest} for at in sorted(each)]
        return out

    def kept(self) -> Drained:
        try:
            found = {str(name): frozenset(map(str, each)) for name, each in self.file.found().items()}
        except (ValueError, TypeError) as e:
            self.file.unreadable(e)
            return {}
        return {name: each for name, each in found.items() if each}


def no(why: str) -> dict[str, object]:
    return {"switched": False, "why": why}


def canonical_address(text: str) -> str:
    return str(at) if (at := address(text)) is not None else text

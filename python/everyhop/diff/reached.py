"""By which listeners a route is reached: by more of them is by more clients, such as those outside. Compared by what each listener
lets reach, so that a site's listeners count as a route's own do, and a listener's name is only a name. Read next: `changes.py`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from everyhop.diff.kinds import KINDS, Change, either
from everyhop.plan import Outcome, Plan, Request

KINDS.update(
    {
        "listener-opened": ("weaker", "a route is reached by a listener by which it was not"),
        "listener-closed": ("stronger", "a route is reached by a listener no more"),
    }
)

SO = ("whoever reaches that listener reaches the route", "its clients there are refused, or served by another route")


def begins_to_serve(old: Plan, new: Plan) -> set[str]:
    """Listeners that serve in the clear and did not, or were not there: told of the listener, for all that it lets reach."""
    was = [it for it in old.listeners if it.serves_plain]
    return {
        it.name
        for it in new.listeners
        if it.serves_plain and not any(one.name == it.name or {*one.bind} & {*it.bind} for one in was)
    }


def unnamed(plan: Plan, requests: tuple[Request, ...]) -> str:
    """The listeners that no site and no route names in either plan: what is reached by one of them is by all."""
    named = {it.listener for it in requests}
    return " and ".join(repr(it.name) for it in plan.listeners if not it.is_plain and it.name not in named)


def reached_by(requests: tuple[Request, ...], end: Callable[[Request], Outcome]) -> dict[int, dict[str, Request]]:
    """By route: the listeners by which it is reached in one of two plans, each with such a request."""
    found: dict[int, dict[str, Request]] = defaultdict(dict)
    for it in requests:
        if end(it).served:
            found[end(it).route or 0].setdefault(it.listener, it)
    return found


def same(old: Plan, new: Plan, requests: tuple[Request, ...]) -> dict[int, int]:
    """By route of the new plan: what it was in the old one, by its name, or where that is new by a request that both serve."""
    by_name = {route.name: i for i, route in enumerate(old.routes)}
    found = {i: by_name[route.name] for i, route in enumerate(new.routes) if route.name in by_name}
    kept = {*found.values()}
    for it in requests:
        if it.old.served and it.new.served and it.old.route not in kept:
            found.setdefault(it.new.route or 0, it.old.route or 0)
    return found


def alone(it: Request, a: int, b: int) -> bool:
    """Served in one of the plans only, by that route."""
    return (it.new.served and it.new.route == b and not it.old.served) or (
        it.old.served and it.old.route == a and not it.new.served
    )


def reach_changes(old: Plan, new: Plan, requests: tuple[Request, ...]) -> tuple[list[Change], set[Request]]:
    """What is told of routes that are in both plans, by their names or renamed; with the requests of which that tells all there is."""
    if not any(it.listener for it in requests):
        return [], set()
    was, now = reached_by(requests, lambda it: it.old), reached_by(requests, lambda it: it.new)
    before = same(old, new, requests)
    begun = begins_to_serve(old, new)
    clear = {it.name for plan in (old, new) for it in plan.listeners if it.serves_plain}
    out: list[Change] = []
    told: set[Request] = set()
    for i, route in enumerate(new.routes):
        a, b = was.get(before.get(i, -1), {}), now.get(i, {})
        if not a or not b:
            continue
        for listener in sorted({*a} ^ {*b}):
            if listener in begun:
                told.update(it for it in requests if it.listener == listener and alone(it, before[i], i))
                continue
            opened, name = listener in b, repr(listener) if listener else unnamed(new, requests)
            what = f"it is reached by listener {name}{', in the clear' if listener in clear else ''}"
            what += "" if opened else " no more"
            out.append(either(opened, ("listener-opened", "listener-closed"), route.name, what, SO))
            told.update(it for it in requests if it.listener == listener and alone(it, before[i], i))
    return out, told

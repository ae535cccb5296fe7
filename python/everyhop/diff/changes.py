"""What changed in trust between two plans: by what requests get, asked of the engine's matcher, not by what is written.

Every kind of request that the two plans could treat differently is asked of both (`apart`); what serves it in one is
compared with what serves it in the other. So a rename is silence, and a route that is removed, narrowed or outranked is
told by whoever takes its requests. Read next: `served.py` (a route), `site.py`, `listener.py`, `whole.py`.
"""

from __future__ import annotations

from dataclasses import replace

from everyhop.diff import authorizers, collectors, inspected, listener, site, stores, tickets, whole
from everyhop.diff.acceptance import acceptance_changes, excused
from everyhop.diff.clients import client_changes
from everyhop.diff.kinds import KINDS, Change
from everyhop.diff.reached import reach_changes
from everyhop.diff.served import Served, served_changes
from everyhop.plan import Outcome, Plan, Request, Route, apart
from everyhop.trust import RouteTrust, trust_map

KINDS.update(
    {
        "route-added": ("neutral", "something new is served"),
        "route-removed": ("neutral", "something is served no more"),
    }
)

ORDER = ("weaker", "neutral", "stronger")


def compare(old: Plan, new: Plan) -> list[Change]:
    """All changes in trust, weaker ones first."""
    if old == new:
        return []
    both = apart(old, new)
    maps = (trust_map(old), trust_map(new))
    found: dict[Change, None] = {}

    def tell(changes: list[Change]) -> None:
        found.update(dict.fromkeys(changes))

    pairs = served_alike(both.requests)
    names = ({r.name for r in old.routes}, {r.name for r in new.routes})
    for (a, b), request in pairs.items():
        was = Served(old.routes[a], maps[0][a], old)
        now = Served(new.routes[b], maps[1][b], new)
        tell(served_changes(was, now, moved(was.route, now.route, names, request)))
        tell(collectors.traced((old, was.route), (new, now.route)))
        tell(authorizers.asked((old, was.route), (new, now.route)))
        tell(inspected.inspected((old, was.route), (new, now.route)))
    tell(client_changes(old, new, both.requests, lambda a, b, it: moved(a, b, names, it)))
    reach, told = reach_changes(old, new, both.requests)
    tell(reach)
    tell(come_and_gone(tuple(it for it in both.requests if it not in told), maps, new))
    reached = {to for r in both.requests if (to := route_of(r.new)) is not None}
    signed = acceptance_changes(old, new, set(pairs), reached)
    tell(signed)
    for (a, b), request in ended_alike(both.requests).items():
        tell(site.site_changes(old.sites[a], new.sites[b], str(request)))
        tell(whole.other_keys(old, new.sites[b].certs))
    tell(site.name_changes(old, new, both.names))
    tell(listener.listener_changes(old, new))
    tell(whole.whole_changes(old, new))
    tell(tickets.ticket_changes(old, new))
    tell(collectors.collector_changes(old, new))
    tell(stores.store_changes(old, new))
    by_route = excused(signed)

    def covered(it: Change) -> bool:
        return it not in signed and bool(it.accepted) and {*it.accepted} <= by_route.get(it.about, set())

    changes = [replace(c, covered=covered(c)) for c in found]
    return sorted(dict.fromkeys(changes), key=lambda c: (ORDER.index(c.direction), c.kind, c.about))


def route_of(outcome: Outcome) -> int | None:
    return outcome.route if outcome.served else None


def served_alike(requests: tuple[Request, ...]) -> dict[tuple[int, int], Request]:
    """Routes of the old and the new plan that serve the same requests, with such a request."""
    found: dict[tuple[int, int], Request] = {}
    for it in requests:
        a, b = route_of(it.old), route_of(it.new)
        if a is not None and b is not None:
            found.setdefault((a, b), it)
    return found


def ended_alike(requests: tuple[Request, ...]) -> dict[tuple[int, int], Request]:
    """Sites inside which the same requests come, with such a request."""
    found: dict[tuple[int, int], Request] = {}
    for it in requests:
        if it.old.site is not None and it.new.site is not None:
            found.setdefault((it.old.site, it.new.site), it)
    return found


def moved(a: Route, b: Route, names: tuple[set[str], set[str]], request: Request) -> str:
    """Says of which requests a change is told, where they went to another route; nothing for a route that stayed, or was
    only renamed. `names`: those of the old and of the new plan's routes."""
    was, now = a.name, b.name
    if was == now or (was not in names[1] and now not in names[0]):
        return ""
    return f"{request} was served by {was!r} and is by {now!r}: "


def come_and_gone(
    requests: tuple[Request, ...], maps: tuple[list[RouteTrust], list[RouteTrust]], new: Plan
) -> list[Change]:
    """What is served in one of the plans only."""
    out = []
    kept = ({route_of(r.old) for r in requests if r.new.served}, {route_of(r.new) for r in requests if r.old.served})
    for it in requests:
        a, b = route_of(it.old), route_of(it.new)
        if a is None and b is not None:
            trust = maps[1][b]
            shown = str(it) if b in kept[1] else whole_route(trust)
            out.append(
                Change(
                    "route-added", trust.name, f"{shown} is served, {trust.way}", f"read by {', '.join(trust.readers)}"
                )
            )
        elif a is not None and b is None:
            trust = maps[0][a]
            shown = str(it) if a in kept[0] else whole_route(trust)
            out.append(Change("route-removed", trust.name, f"{shown} is served no more", then(it, new)))
    return out


def then(it: Request, new: Plan) -> str:
    """What becomes of a request that the new plan does not serve by its name."""
    answers = [listener.said(x.unknown_sni) for x in new.listeners if x.unknown_sni.answer != "refuse"]
    if it.new.slug == "hello/unknown-sni" and answers:
        return f"its clients get what unknown_sni gives: {', '.join(dict.fromkeys(answers))}"
    return "its clients are refused"


def whole_route(it: RouteTrust) -> str:
    return f"{', '.join(it.hosts)} {it.matches}".strip()

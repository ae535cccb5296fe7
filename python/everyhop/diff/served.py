"""What changed for requests that one route served and one route serves now, be it the same or another. Read next:
`hops.py` (backend by backend)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from everyhop.diff.hops import hop_changes
from everyhop.diff.kinds import KINDS, Change, either
from everyhop.diff.limited import limited
from everyhop.diff.logged import route_lines
from everyhop.diff.mirrors import copied
from everyhop.diff.named import beyond
from everyhop.diff.networks import left
from everyhop.diff.passwords import passwords
from everyhop.diff.shaped import shaped
from everyhop.diff.tokens import tokens
from everyhop.model.words import DECLARED
from everyhop.plan import STRENGTH, AsItCame, AtBackend, AtEdge, Edit, Given, Here, PageContent, Plan, Route, Way, Words
from everyhop.screen import few
from everyhop.trust import CLIENTS_HOST, CLIENTS_NETWORK, RouteTrust, acceptances

KINDS.update(
    {
        "promise-weakened": ("weaker", "a route promises less of its backends"),
        "promise-strengthened": ("stronger", "a route promises more of its backends"),
        "requirement-dropped": ("weaker", "a route requires less"),
        "requirement-added": ("stronger", "a route requires more"),
        "new-reader": ("weaker", "somebody can read who could not before"),
        "reader-gone": ("stronger", "somebody cannot read any more"),
        "clients-widened": ("weaker", "more clients may pass"),
        "clients-narrowed": ("stronger", "fewer clients may pass"),
        "networks-widened": ("weaker", "clients may come from more addresses"),
        "networks-narrowed": ("stronger", "clients may come from fewer addresses"),
        "data-lowered": ("weaker", "the data is said to matter less"),
        "data-raised": ("stronger", "the data is said to matter more"),
        "path-rewritten": ("neutral", "backends are asked for another path than before"),
        "fields-edited": ("neutral", "fields are changed in another way on their way"),
        "answers-loosened": ("weaker", "answers of backends are read where they are not as RFC 9112 has them"),
        "answers-tightened": ("stronger", "only answers as RFC 9112 has them are read"),
        "reading-stopped": ("weaker", "requests are read and judged no more"),
        "reading-begun": ("stronger", "requests are read and judged"),
        "answer-changed": ("neutral", "the edge answers something else itself"),
        "answered-here": ("neutral", "the edge answers itself what a backend answered"),
        "answered-behind": ("neutral", "a backend answers what the edge answered itself"),
        "address-told": ("neutral", "the backend is told the client's address in another way"),
    }
)


@dataclass(frozen=True)
class Served:
    """A route with its map of trust and the plan that it is of."""

    route: Route
    trust: RouteTrust
    plan: Plan


def served_changes(was: Served, now: Served, moved: str) -> list[Change]:
    """`moved` begins each sentence where the requests went from one route to another."""
    name, a, b = now.route.name, was.route.way, now.route.way
    out = [*boundary(name, was.trust, now.trust), *readers(name, was.trust, now.trust)]
    out += networks(name, a, b)
    out += hop_changes(was, now)
    out += data(name, was.route, now.route) + requirements(name, was.route, now.route)
    out += route_lines(name, (was.plan, was.route), (now.plan, now.route))
    if isinstance(a, AtBackend) and isinstance(b, AtBackend):
        if a.send_proxy != b.send_proxy:
            what = f"send_proxy was {a.send_proxy}, now {b.send_proxy}"
            out.append(Change("address-told", name, what, "the backend must expect the same"))
    elif isinstance(a, AtEdge) and isinstance(b, AtEdge):
        out += (
            clients(name, a, b)
            + tokens(name, was, now)
            + passwords(name, a, b)
            + promise(name, a, b)
            + reading(name, a, b)
            + edited(name, a, b)
            + shaped(name, a, b)
            + copied(name, a, b)
            + limited(name, a, b)
            + answers(name, a, b)
        )
    else:
        out += own(name, a, b)
    return [replace(c, what=moved + c.what) for c in out]


def boundary(name: str, a: RouteTrust, b: RouteTrust) -> list[Change]:
    if (a.way == "passthrough") == (b.way == "passthrough"):
        return []
    if b.way == "passthrough":
        what = "TLS ended at the edge, now at the backend"
        return [Change("boundary-returned", name, what, "the edge cannot read it any more")]
    what = "TLS ended at the backend, now at the edge"
    return [Change("boundary-moved", name, what, "the edge reads every request, and holds the key")]


FRONT = (CLIENTS_NETWORK, CLIENTS_HOST)
"""Who reads where requests come in the clear, which is told of the listener."""


def readers(name: str, a: RouteTrust, b: RouteTrust) -> list[Change]:
    out = [
        Change(
            "new-reader",
            name,
            f"{reader} can read it",
            "what it reads it can keep and change" if reader in b.changers else "what it reads it can keep",
            accepted=b.accepted_for if reader == "the backend's network" else (),
        )
        for reader in b.readers
        if reader not in (*a.readers, *FRONT)
    ]
    # Another network is another reader, though the word for it is the same.
    come = [at for at in b.accepted_for if at not in a.accepted_for]
    if come and "the backend's network" in a.readers:
        what = f"whoever is on the way to {', '.join(come)} can read it"
        out.append(Change("new-reader", name, what, "what it reads it can keep and change", tuple(come)))
    out += [
        Change("reader-gone", name, f"{reader} cannot read it any more", "one party less to trust")
        for reader in a.readers
        if reader not in (*b.readers, *FRONT)
    ]
    return out


def data(name: str, a: Route, b: Route) -> list[Change]:
    if a.data == b.data:
        return []
    lower = DECLARED.index(b.data) < DECLARED.index(a.data)
    what = f"data was {a.data}, now {b.data}"
    so = ("weaker protection passes", "plaintext may be refused")
    return [either(lower, ("data-lowered", "data-raised"), name, what, so)]


def requirements(name: str, a: Route, b: Route) -> list[Change]:
    dropped, added = sorted({*a.requires} - {*b.requires}), sorted({*b.requires} - {*a.requires})
    out = []
    if dropped:
        what = f"{', '.join(dropped)} is required no more"
        out.append(Change("requirement-dropped", name, what, "a later change may take it away unseen"))
    if added:
        what = f"{', '.join(added)} is required"
        out.append(Change("requirement-added", name, what, "what cannot give it is refused"))
    return out


def clients(name: str, a: AtEdge | Here, b: AtEdge | Here) -> list[Change]:
    was, now = a.allow_clients, b.allow_clients
    if was == now:
        return []
    more = beyond(now or (), was or ())
    if now is None or (was is not None and more):
        who = "any client that the site lets in" if now is None else ", ".join(more)
        return [Change("clients-widened", name, f"{who} may pass", "they reach this route")]
    refused = "the others are refused" if b.is_stream else "the others get 403"
    return [Change("clients-narrowed", name, "fewer clients may pass", refused)]


def networks(name: str, a: Way, b: Way) -> list[Change]:
    """From where clients may come, whatever else is asked of them."""
    was, now = a.allow_networks, b.allow_networks
    if was == now:
        return []
    more = None if now is None else left(now, was) if was is not None else []
    less = None if was is None else left(was, now) if now is not None else []
    out = []
    if more != []:
        where = "anywhere" if more is None else few(more)
        out.append(Change("networks-widened", name, f"clients may come from {where}", "they reach this route"))
    if less != []:
        refused = "the others are refused" if isinstance(b, AtBackend) or b.is_stream else "the others get 403"
        where = f"{few(now or [])} alone" if less is None else f"{few(less)} no more"
        out.append(Change("networks-narrowed", name, f"clients may come from {where}", refused))
    return out


def own(name: str, a: Way, b: Way) -> list[Change]:
    """What the edge answers itself, in one of the plans or both."""
    out = [] if isinstance(a, AtBackend) or isinstance(b, AtBackend) else clients(name, a, b)
    was, now = (told(way.gives) if isinstance(way, Here) else "" for way in (a, b))
    if was and now and a.gives != b.gives:  # type: ignore[union-attr]
        return [
            *out,
            Change("answer-changed", name, f"the edge answered {was}, now {now}", "its clients get this instead"),
        ]
    if now and not was:
        out.append(Change("answered-here", name, f"the edge answers {now} itself", "no request goes to a backend"))
    elif was and not now:
        out.append(
            Change("answered-behind", name, f"the edge answered {was} itself, and does not", "requests go to a backend")
        )
    return out


def told(it: Given) -> str:
    """The answer in a few words; of a text no more than tells it from another."""
    parts = [str(it.status)]
    if it.location is not None:
        parts.append(f"to {''.join(map(str, it.location))}")
    if it.fields:
        parts.append(f"with {shown(it.fields)}")
    if isinstance(it.body, Words):
        parts.append(f"and {it.body.text[:60]!r}")
    elif isinstance(it.body, PageContent):
        parts.append(f"and what stands in {it.body.page.removeprefix('page/')}")
    return " ".join(parts)


def edited(name: str, a: AtEdge, b: AtEdge) -> list[Change]:
    out = []
    for side, was, now in (("request", a.request, b.request), ("response", a.response, b.response)):
        for word in ("remove", "set", "add"):
            if getattr(was, word) != getattr(now, word):
                what = f"{side}.{word} was {shown(getattr(was, word))}, now {shown(getattr(now, word))}"
                who = "backends" if side == "request" else "clients"
                out.append(Change("fields-edited", name, what, f"{who} see other fields"))
    if a.host_header != b.host_header:
        hosts = [way.host_header or "whichever the client asked for" for way in (a, b)]
        what = f"the host that backends are asked for was {hosts[0]}, now {hosts[1]}"
        out.append(Change("fields-edited", name, what, "backends that serve several names may serve another"))
    if a.target != b.target:
        what = f"paths went on {onward(a)}, now {onward(b)}"
        out.append(Change("path-rewritten", name, what, "backends are asked for other paths"))
    return out


def onward(way: AtEdge) -> str:
    return "as they came" if isinstance(way.target, AsItCame) else str(way.target)


def shown(edits: list[str] | list[Edit]) -> str:
    return ", ".join(map(str, edits)) or "nothing"


def answers(name: str, a: AtEdge, b: AtEdge) -> list[Change]:
    """A line that LF alone ends is where somebody could put one into a field that a backend lets pass: it was refused."""

    def read(way: AtEdge) -> str:
        return way.answers if way.upstream_protocol in {"http/1.1", "auto"} else "strict"

    if read(a) == read(b):
        return []
    what = f"answers of backends were read as {read(a)}, now as {read(b)}"
    so = (
        "who can put LF into what a backend answers can add fields to it",
        "what is not as RFC 9112 has it is 502",
    )
    return [either(read(b) == "lenient", ("answers-loosened", "answers-tightened"), name, what, so)]


def promise(name: str, a: AtEdge, b: AtEdge) -> list[Change]:
    if a.pattern == b.pattern:
        return []
    less = STRENGTH[b.pattern] < STRENGTH[a.pattern]
    what = f"the route promised {a.pattern}, now {b.pattern}"
    so = ("a weaker backend may be added", "a weaker backend is refused")
    found = either(less, ("promise-weakened", "promise-strengthened"), name, what, so)
    return [replace(found, accepted=tuple(acceptances(b)) if less else ())]


def reading(name: str, a: AtEdge, b: AtEdge) -> list[Change]:
    """Whether requests are read, and what a stream's backend is told."""
    if a.is_stream != b.is_stream:
        what = f"the route carries {'TCP, and read HTTP' if b.is_stream else 'HTTP, and read nothing'} before"
        so = (
            "no path, method, field or name of a request is looked at, nor are forged fields taken away",
            "only requests that are well formed pass, each judged",
        )
        return [either(b.is_stream, ("reading-stopped", "reading-begun"), name, what, so)]
    if b.is_stream and a.send_proxy != b.send_proxy:
        what = f"send_proxy was {a.send_proxy}, now {b.send_proxy}"
        return [Change("address-told", name, what, "the backend must expect the same")]
    return []

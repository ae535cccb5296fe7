"""Who gets to a backend: clients of which less is proved, and tunnels. Compared request by request, since that hangs on the
site by which it comes, the route that takes it and the way behind. Read next: `site.py`, `served.py`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace

from everyhop.diff.hops import hops
from everyhop.diff.kinds import KINDS, Change, either
from everyhop.diff.named import beyond
from everyhop.diff.networks import left
from everyhop.plan import AtBackend, AtEdge, ClientsRequire, Outcome, Plan, Request, Route
from everyhop.screen import few
from everyhop.trust.authorizers import authorizer_of

KINDS.update(
    {
        "client-demand-weakened": ("weaker", "less is demanded of clients"),
        "backend-opened": ("weaker", "clients of which less is proved reach a backend that others reached"),
        "tunnel-opened": ("weaker", "tunnels pass that did not"),
        "tunnel-closed": ("stronger", "tunnels pass no more"),
        "paths-loosened": ("weaker", "paths pass that backends read in more ways than one"),
        "paths-tightened": ("stronger", "only paths pass that every backend reads alike"),
    }
)

Moved = Callable[[Route, Route, Request], str]
"""Begins a sentence where requests went from one route to another."""


@dataclass(frozen=True)
class Proof:
    """What the edge knows of every client whose request it lets through."""

    ca: str | None
    """Who signed its certificate; `None`: it need not have one."""
    names: frozenset[str] | None
    """Those that it may have; `None`: any."""
    tokens: frozenset[str] | None = None
    """Whose token it must have; `None`: it need not have one."""
    users: frozenset[str] | None = None
    """Of whom it must show the password; `None`: of nobody."""
    asked: str | None = None
    """Where it is asked about; `None`: nowhere."""
    networks: tuple[str, ...] | None = None
    """Where it must be, whoever it is; `None`: anywhere."""

    def __str__(self) -> str:
        by = "" if self.tokens is None else f" with a token of {' or '.join(sorted(self.tokens))}"
        by += "" if self.users is None else f" with the password of {few(sorted(self.users))}"
        by += "" if self.asked is None else f" that {self.asked} lets in"
        by += "" if self.networks is None else f" from {few(list(self.networks))}"
        if self.ca is None:
            return f"any client{by}"
        who = "any client" if self.names is None else ", ".join(sorted(self.names)) or "no client"
        return f"{who} verified by {self.ca.removeprefix('ca/')}{by}"

    def is_known_as(self, other: Proof) -> bool:
        """Whether its token or password would have done for `other`, and where it is, and whoever is asked the same."""
        if other.asked is not None and self.asked != other.asked:
            return False
        if other.networks is not None and (self.networks is None or left(self.networks, other.networks)):
            return False
        if other.users is not None and (self.users is None or not self.users <= other.users):
            return False
        return other.tokens is None or (self.tokens is not None and self.tokens <= other.tokens)


def proof(plan: Plan, outcome: Outcome) -> Proof:
    """Of a request that is served."""
    way = plan.routes[outcome.route or 0].way
    nets = None if way.allow_networks is None else tuple(way.allow_networks)
    it = replace(certified(plan, outcome), networks=nets)
    if not isinstance(way, AtEdge):
        return it
    if (by := authorizer_of(plan, plan.routes[outcome.route or 0])) is not None:
        it = replace(it, asked=" or ".join(sorted(str(b.at) for b in by.backends)))
    if way.basic is not None:
        named = way.basic.names
        it = replace(it, users=frozenset([f"anybody in {way.basic.file}"] if named is None else named))
    if way.jwt is None:
        return it
    names = way.jwt.issuers
    return replace(it, tokens=frozenset(issuer.issuer for issuer in plan.issuers if issuer.name in names))


def certified(plan: Plan, outcome: Outcome) -> Proof:
    """By a certificate."""
    way = plan.routes[outcome.route or 0].way
    if outcome.site is None or isinstance(way, AtBackend):
        return Proof(None, None)
    clients = plan.sites[outcome.site].clients
    if clients.mode == "nothing":
        # An allow-list lets nobody through who proves nothing.
        return Proof(None, None) if way.allow_clients is None else Proof("", frozenset())
    if way.allow_clients is not None:
        return Proof(clients.ca, frozenset(way.allow_clients))
    return Proof(clients.ca, None) if isinstance(clients, ClientsRequire) else Proof(None, None)


def known(proofs: set[Proof], it: Proof) -> bool:
    """Whether all that `it` lets through got through by one of `proofs`."""
    fit = [p for p in proofs if it.is_known_as(p)]
    if it.names == frozenset() or any((p.ca, p.names) == (None, None) for p in fit):
        return True
    alike = [p for p in fit if p.ca == it.ca]
    if any(p.names is None for p in alike):
        return True
    were = frozenset().union(*(p.names or () for p in alike))
    return it.names is not None and not beyond(it.names, were)


def client_changes(old: Plan, new: Plan, requests: tuple[Request, ...], moved: Moved) -> list[Change]:
    before: dict[str, set[Proof]] = defaultdict(set)
    for it in requests:
        if it.old.served:
            for at in reaches(old, it.old):
                before[at].add(proof(old, it.old))
    out = []
    for it in requests:
        if not it.new.served:
            continue
        route = new.routes[it.new.route or 0]
        if it.old.served:
            out += handed_on(old, new, it, moved)
            out += tunnels(old, new, it, moved) + paths(old, new, it, moved)
        # Backends that were there, and are reached by other requests now.
        who = proof(new, it.new)
        for at in sorted(reaches(new, it.new) - (reaches(old, it.old) if it.old.served else set())):
            if at in before and not known(before[at], who):
                were = "; ".join(sorted(map(str, before[at])))
                what = f"{who} reaches {at} by {it}, where only {were} did"
                out.append(Change("backend-opened", route.name, what, "it may rely on what the edge let through"))
    return out


def reaches(plan: Plan, outcome: Outcome) -> set[str]:
    return {*hops(plan.routes[outcome.route or 0].way)}


def handed_on(old: Plan, new: Plan, it: Request, moved: Moved) -> list[Change]:
    """The edge verified clients, and passes their TLS through now."""
    a, b = old.routes[it.old.route or 0], new.routes[it.new.route or 0]
    was = proof(old, it.old)
    if was.ca is None or not isinstance(b.way, AtBackend):
        return []
    what = f"{moved(a, b, it)}the edge let through {was}, now any client: only the backend can ask for a certificate"
    return [Change("client-demand-weakened", b.name, what, "clients without proof get in, unless the backend asks")]


def tunnels(old: Plan, new: Plan, it: Request, moved: Moved) -> list[Change]:
    a, b = old.routes[it.old.route or 0], new.routes[it.new.route or 0]
    was, now = upgrades(old, it.old), upgrades(new, it.new)
    if was is None or now is None:
        return []
    out = []
    so = ("bytes in a tunnel are not read as HTTP", "every byte is read as HTTP")
    for opened, which in ((True, now - was), (False, was - now)):
        if which:
            named = ", ".join("WebSocket" if name == "websocket" else name for name in sorted(which))
            what = f"{moved(a, b, it)}{named} upgrades {'pass' if opened else 'are refused'}"
            out.append(either(opened, ("tunnel-opened", "tunnel-closed"), b.name, what, so))
    return out


def paths(old: Plan, new: Plan, it: Request, moved: Moved) -> list[Change]:
    a, b = old.routes[it.old.route or 0], new.routes[it.new.route or 0]
    if (
        not isinstance(a.way, AtEdge)
        or not isinstance(b.way, AtEdge)
        or a.way.paths == b.way.paths
        or a.way.is_stream
        or b.way.is_stream
    ):
        return []
    loosened = b.way.paths == "faithful"
    what = f"{moved(a, b, it)}paths were {a.way.paths}, now {b.way.paths}"
    so = (
        "encoded slashes, empty and dot segments reach the backend as they came",
        "what can be read in two ways is 400",
    )
    return [either(loosened, ("paths-loosened", "paths-tightened"), b.name, what, so)]


def upgrades(plan: Plan, outcome: Outcome) -> frozenset[str] | None:
    """What may become a tunnel: a WebSocket over either protocol on either side; `None` where HTTP is not read."""
    way = plan.routes[outcome.route or 0].way
    if outcome.site is None or not isinstance(way, AtEdge) or way.is_stream:
        return None
    return frozenset(way.upgrades)

"""A map of trust: for each route of a compiled plan who takes part, what each hop proves, and what each attacker gets.

It decides nothing: which sites lead to a route is asked of the engine's matcher, and a route is as weak as its weakest
backend and as the weakest site by which a request reaches it. Each answer carries its reasoning, because a map that
cannot be argued with is no use in a review. Read next: `attackers.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from everyhop.model.words import Lies
from everyhop.plan import (
    STRENGTH,
    Acceptance,
    AtBackend,
    AtEdge,
    Backend,
    ByPins,
    BySpiffe,
    Here,
    Listener,
    MutualHop,
    PlaintextHop,
    Plan,
    Route,
    Site,
    Verify,
    Way,
    heard,
    in_the_clear,
    reached,
    weakest,
)
from everyhop.trust.attackers import (
    REQUESTS,
    STREAM,
    TOLD_STREAM,
    Exposure,
    Passing,
    alone,
    apart,
    attackers,
    before,
    passing,
)
from everyhop.trust.authorizers import Asking, asking
from everyhop.trust.believed import (
    HEADER,
    Believed,
    addressed,
    decided,
    issued,
    said_of_clients,
    signed_in,
    words,
)
from everyhop.trust.collectors import Collecting, collecting
from everyhop.trust.done import done, logged
from everyhop.trust.inspection import Inspected, inspected
from everyhop.trust.issuers import Keyed, keyed
from everyhop.trust.keys import Held, Sealed, beside, held, sealed
from everyhop.trust.stores import Counting, counting

Demand = Literal["not asked", "asked", "required"]
DEMANDS: dict[str, Demand] = {"nothing": "not asked", "ask": "asked", "require": "required"}
"""What a site demands of clients, weakest first."""

# What stays visible to whoever watches the wire, whatever is encrypted.
VISIBLE = ("the server name in the hello (SNI)", "addresses", "sizes and timing")


@dataclass(frozen=True)
class Hop:
    """One leg: who speaks TLS with whom, and what is proven."""

    between: tuple[str, str]
    encrypted: bool
    oldest: str | None
    """The oldest version of TLS that may be spoken; `None`: not ours to say, or no TLS."""
    proofs: tuple[str, ...]


@dataclass(frozen=True)
class Reachable:
    """A site by which a route is reached, what it demands of clients, and a request that gets there."""

    site: str
    clients: Demand
    request: str


@dataclass(frozen=True)
class Signed:
    """An acceptance as a person wrote it."""

    owner: str
    why: str
    context: str
    since: str
    until: str


@dataclass(frozen=True)
class Open:
    """A listener by which requests come in the clear: the hop from the client is open there."""

    listener: str
    bind: tuple[str, ...]
    closes_at_s: int | None
    signed: Signed | None
    """`None`: it is reached from this host alone."""

    @property
    def reader(self) -> str:
        """Who can read what comes there, beside its ends."""
        return CLIENTS_HOST if self.signed is None else CLIENTS_NETWORK


CLIENTS_NETWORK, CLIENTS_HOST = "the clients' network", "whoever is on the edge's host"


@dataclass(frozen=True)
class RouteTrust:
    """The whole of one route."""

    name: str
    hosts: tuple[str, ...]
    matches: str
    listeners: tuple[str, ...] | None
    """The only listeners by which it is reached; `None`: every one."""
    stream: bool
    """TLS ends at the edge, and what is in it goes on unread."""
    way: Lies
    """`answered`: there is nothing behind the edge."""
    backends: tuple[tuple[str, str], ...]
    """Place and the hop's pattern, the weakest first."""
    mirrors: tuple[tuple[str, str], ...]
    """As `backends`, of where copies of requests go."""
    readers: tuple[str, ...]
    changers: tuple[str, ...]
    key_holders: tuple[str, ...]
    hops: tuple[Hop, ...]
    done: tuple[str, ...]
    """What the edge does to what it reads, and to how much of it at once; one sentence each."""
    believed: tuple[Believed, ...]
    attackers: dict[str, Exposure]
    clients: Literal["not asked", "asked", "required", "at the backend"]
    """The weakest demand of all sites by which the route is reached."""
    allowed: tuple[str, ...] | None
    """Names of which a client must prove one; `None`: whoever its site lets in passes."""
    networks: tuple[str, ...] | None
    """Networks of which its address must be in one, which proves nothing of who it is; `None`: it may be any."""
    sites: tuple[Reachable, ...]
    """Empty for passthrough, and where no request gets to the route."""
    closes_at_s: int | None
    accepted_by: str | None
    accepted_for: tuple[str, ...]
    """The addresses that an acceptance speaks of."""
    signed: Signed | None
    data: str
    same_host: bool
    open_at: tuple[Open, ...] = ()
    """Where requests come to it in the clear."""
    encrypted_too: bool = True
    """It is also reached with TLS."""
    collector: Collecting | None = None
    """Who is told of its requests beside those who carry them."""
    keyed: tuple[Keyed, ...] = ()
    """Who says by which keys its tokens are verified."""
    asks: Asking | None = None
    """Who is asked whether they may pass."""
    inspected: Inspected | None = None
    """By which rules they are inspected."""
    stores: tuple[Counting, ...] = ()
    """Where they are counted together with other edges."""
    keys: tuple[Held, ...] = ()
    """Keys of ours that it needs: where each is, where it comes from and who renews its certificate."""
    tickets: Sealed | None = None
    """Who can open its clients' session tickets; `None`: no client has one of ours."""


def trust_map(plan: Plan) -> list[RouteTrust]:
    """One entry a route, in the plan's order."""
    trusted = vouching(plan)
    proxied = sorted({net for listener in plan.listeners for net in listener.accept_proxy})
    ways_in = reached(plan)
    out = []
    ends: list[list[Site]] = []
    for index, route in enumerate(plan.routes):
        ends.append([plan.sites[s] for s in sorted(ways_in.get(index, {}))])
        if isinstance(route.way, AtBackend):
            keys = [own for site in plan.sites for own in site.hosts if any(good_for(own, h) for h in route.hosts)]
            out.append(passed(route, route.way, keys, proxied))
        else:
            inside = [(plan.sites[s], str(it)) for s, it in sorted(ways_in.get(index, {}).items())]
            if isinstance(route.way, Here):
                out.append(answered(route, route.way, inside, trusted, proxied))
            else:
                out.append(ended(route, route.way, inside, trusted, proxied))
    by = heard(plan)
    every = sum(listener.goes_on for listener in plan.listeners)
    told = [
        replace(
            it,
            listeners=None if i not in by or len(by[i]) == every else tuple(by[i]),
            collector=collecting(plan, plan.routes[i]),
            keyed=keyed(plan, plan.routes[i]),
            asks=asking(plan, plan.routes[i]),
            inspected=inspected(plan, plan.routes[i]),
            stores=counting(plan, plan.routes[i]),
        )
        for i, it in enumerate(out)
    ]
    clear = in_the_clear(plan)
    told = [opened(it, clear[i], too=len(by[i]) > len(clear[i])) if i in clear else it for i, it in enumerate(told)]
    return [keeping(plan, route, it, sites) for route, it, sites in zip(plan.routes, told, ends, strict=True)]


def keeping(plan: Plan, route: Route, it: RouteTrust, sites: list[Site]) -> RouteTrust:
    """A route with the keys that it needs. `sites`: those that end the TLS of its clients."""
    if isinstance(route.way, AtBackend):
        good = [site for site in plan.sites if any(good_for(own, host) for own in site.hosts for host in route.hosts)]
        return replace(it, keys=held(plan, route, good, ()))
    sites = sites if it.encrypted_too else []
    others = beside(
        plan,
        asks=it.asks.name if it.asks else None,
        collector=it.collector.name if it.collector else None,
        stores=[store.name for store in it.stores],
        issuers=[key.name for key in it.keyed],
    )
    keys = held(plan, route, sites, others)
    tickets, found = sealed(plan, sites), it.attackers
    if keys and all(key.at != "engine" for key in keys):
        found = apart(found, tickets=tickets is not None and bool(tickets.by))
    return replace(it, keys=keys, tickets=tickets, attackers=found)


def opened(it: RouteTrust, listeners: list[Listener], *, too: bool) -> RouteTrust:
    """A route with what it is where requests come in the clear: the weakest way to it is what holds. `too`: it has others."""
    ways = tuple(
        Open(x.name, tuple(x.bind), a.closes_at_s if (a := x.acceptance) else None, by_whom(x)) for x in listeners
    )
    others = [way.reader for way in ways if way.reader != CLIENTS_HOST or "this host" not in it.readers]
    readers, changers = (tuple(dict.fromkeys((*them, *others))) for them in (it.readers, it.changers))
    edge = it.attackers["edge"]
    # Where none ever comes, none ends.
    edge = edge if too else replace(edge, why=edge.why.removeprefix("TLS ends there: "))
    networked = any(way.signed is not None for way in ways)
    return replace(
        it,
        open_at=ways,
        encrypted_too=too,
        readers=readers,
        changers=changers,
        hops=(Hop(("client", "edge"), False, None, ()), *it.hops[1:]),
        attackers={"front": before(networked), **it.attackers, "edge": edge},
        clients="not asked",
    )


def by_whom(it: Listener) -> Signed | None:
    a = it.acceptance
    return Signed(a.owner, a.why, a.context, a.since, a.until) if a is not None else None


def vouching(plan: Plan) -> dict[tuple[str, ...], list[str]]:
    """Trusted proxies, by what they are believed in at some listener."""
    found: dict[tuple[str, ...], set[str]] = {}
    for listener in plan.listeners:
        if listener.vouched:
            found.setdefault(tuple(listener.believe), set()).update(listener.vouched)
    return {believed: sorted(nets) for believed, nets in sorted(found.items())}


def matched(way: Way) -> str:
    """What a route matches beside its hosts, as a person writes it."""
    if isinstance(way, AtBackend) or way.is_stream:
        return ""
    path = {"any": "/", "exact": "=" + getattr(way.path, "path", ""), "prefix": getattr(way.path, "path", "")}
    said = {"field": "", "cookie": "cookie "}
    headers = ",".join(f"{said[h.of]}{h.name}={h.equals}" for h in way.headers)
    return " ".join(part for part in (",".join(way.methods), path[way.path.kind], headers) if part)


def good_for(own: str, host: str) -> bool:
    """Whether a certificate for a site's wildcard would do for a name that is passed through: one whole label."""
    return own.startswith("*.") and host.partition(".")[2] == own[2:]


def passed(route: Route, way: AtBackend, keys: list[str], proxied: list[str]) -> RouteTrust:
    """`keys`: names of sites whose key is good for the route as well."""
    proof = ("the backend to the client, by its own certificate", "the client to the backend, if the backend asks")
    readers = ("client", "backend")
    return RouteTrust(
        name=route.name,
        hosts=tuple(route.hosts),
        listeners=None,
        matches="",
        stream=False,
        way="passthrough",
        backends=tuple((str(at), "passthrough") for at in way.backends),
        mirrors=(),
        readers=readers,
        changers=readers,
        key_holders=("edge", "backend") if keys else ("backend",),
        hops=(Hop(("client", "backend"), True, None, proof),),
        done=(*done(way), *logged(route)),
        believed=(*said_of_clients(proxied, {}), *addressed(way), *(HEADER if way.send_proxy == "v2" else ())),
        attackers=passing(way.send_proxy == "v2", keys),
        clients="at the backend",
        allowed=None,
        networks=from_networks(way),
        sites=(),
        closes_at_s=None,
        accepted_by=None,
        accepted_for=(),
        signed=None,
        data=route.data,
        same_host=False,
    )


def ended(
    route: Route,
    way: AtEdge,
    inside: list[tuple[Site, str]],
    trusted: dict[tuple[str, ...], list[str]],
    proxied: list[str],
) -> RouteTrust:
    pattern = weakest(way).hop.tls
    signed = acceptances(way)
    readers = ["client", "edge", "backend"]
    if pattern == "plaintext":
        readers += ["the backend's network"] if signed else []
        near = any(isinstance(b.hop, PlaintextHop) and b.hop.reach.kind == "same_host" for b in way.behind)
        readers += ["this host"] if near else []
    # What a mirror answers reaches nobody: it reads, and changes nothing.
    changers, readers = tuple(readers), readers + ["the mirror"] * (way.mirror is not None)
    sites, clients = demanded(inside)
    return RouteTrust(
        name=route.name,
        hosts=tuple(route.hosts),
        listeners=None,
        matches=matched(way),
        stream=way.is_stream,
        way=pattern,
        backends=by_strength(way.backends),
        mirrors=by_strength(way.mirror.backends if way.mirror else []),
        readers=tuple(readers),
        # Who can read a request, or whatever else, can change it; TLS is what keeps the others from both.
        changers=changers,
        key_holders=("edge",) if pattern == "plaintext" else ("edge", "backend"),
        hops=legs(pattern, [site for site, _ in inside], clients, way),
        done=(*done(way), *logged(route)),
        believed=(
            *said_of_clients(proxied, {} if way.is_stream else trusted),
            *addressed(way),
            *issued(way),
            *signed_in(way),
            *decided(way),
            *words(way, pattern, bool(signed)),
        ),
        attackers=attackers(
            pattern, bool(signed), demand_asks=demanding(way), passing=goes_on(way), copies=way.mirror is not None
        ),
        clients=clients,
        allowed=None if way.allow_clients is None else tuple(way.allow_clients),
        networks=from_networks(way),
        sites=sites,
        closes_at_s=min((a.closes_at_s for a in signed.values()), default=None),
        accepted_by=next((a.owner for a in signed.values()), None),
        accepted_for=tuple(signed),
        signed=next((Signed(a.owner, a.why, a.context, a.since, a.until) for a in signed.values()), None),
        data=route.data,
        same_host=pattern == "plaintext" and not signed,
    )


def answered(
    route: Route,
    way: Here,
    inside: list[tuple[Site, str]],
    trusted: dict[tuple[str, ...], list[str]],
    proxied: list[str],
) -> RouteTrust:
    sites, clients = demanded(inside)
    readers = ("client", "edge")
    return RouteTrust(
        name=route.name,
        hosts=tuple(route.hosts),
        listeners=None,
        matches=matched(way),
        stream=False,
        way="answered",
        backends=(),
        mirrors=(),
        readers=readers,
        changers=readers,
        key_holders=("edge",),
        hops=(first_leg([site for site, _ in inside], clients, way),),
        done=tuple(logged(route)),
        believed=(*said_of_clients(proxied, trusted), *addressed(way)),
        attackers=alone(),
        clients=clients,
        allowed=None if way.allow_clients is None else tuple(way.allow_clients),
        networks=from_networks(way),
        sites=sites,
        closes_at_s=None,
        accepted_by=None,
        accepted_for=(),
        signed=None,
        data=route.data,
        same_host=False,
    )


def from_networks(way: Way) -> tuple[str, ...] | None:
    return None if way.allow_networks is None else tuple(way.allow_networks)


def demanded(inside: list[tuple[Site, str]]) -> tuple[tuple[Reachable, ...], Demand]:
    """The sites by which a route is reached, and the weakest of their demands."""
    sites = tuple(Reachable(site.name, DEMANDS[site.clients.mode], request) for site, request in inside)
    order = list(DEMANDS.values())
    return sites, min((s.clients for s in sites), key=order.index, default=order[0])


def goes_on(way: AtEdge) -> Passing:
    if not way.is_stream:
        return REQUESTS
    return TOLD_STREAM if way.send_proxy == "v2" else STREAM


def by_strength(them: list[Backend]) -> tuple[tuple[str, str], ...]:
    """The weakest first."""
    return tuple((str(b.at), b.hop.tls) for b in sorted(them, key=lambda b: STRENGTH[b.hop.tls]))


def acceptances(way: AtEdge) -> dict[str, Acceptance]:
    """By backend: the word of whoever signed for plaintext across a network to it."""
    return {
        str(b.at): b.hop.reach.acceptance
        for b in way.behind
        if isinstance(b.hop, PlaintextHop) and b.hop.reach.kind == "accepted"
    }


def first_leg(sites: list[Site], clients: Demand, way: AtEdge | Here) -> Hop:
    oldest = min((min(site.policy.versions) for site in sites), default=None)
    proofs = ["the edge to the client, by the site's certificate"]
    if clients != "not asked":
        must = clients == "required" or way.allow_clients is not None
        proofs.append("the client to the edge, by its certificate" + ("" if must else ", if it has one"))
    if isinstance(way, AtEdge) and way.jwt is not None:
        proofs.append(f"each request to the edge, by a token of {' or '.join(way.jwt.issuers)}")
    if isinstance(way, AtEdge) and way.basic is not None:
        proofs.append(f"each request to the edge, by a name and password of {way.basic.file}")
    if isinstance(way, AtEdge) and way.ask is not None:
        proofs.append(f"each request to the edge, by the word of authorizer {way.ask}")
    return Hop(("client", "edge"), True, oldest, tuple(proofs))


def legs(pattern: str, sites: list[Site], clients: Demand, way: AtEdge) -> tuple[Hop, ...]:
    verified = [b.hop for b in way.behind if not isinstance(b.hop, PlaintextHop)]
    backend = f"the backend to the edge, by {' or '.join(dict.fromkeys(by(hop.verify) for hop in verified))}"
    asked = "; one that does not ask for it is sent nothing" if demanding(way) else ", if the backend asks for it"
    proofs = {
        "mutual": (backend, f"the edge to the backend, by its identity{asked}"),
        "reencrypt": (backend,),
        "plaintext": (),
    }[pattern]
    policies = [b.hop.policy for b in way.behind if not isinstance(b.hop, PlaintextHop)]
    back = min((min(p.versions) for p in policies), default=None) if pattern != "plaintext" else None
    return (
        first_leg(sites, clients, way),
        Hop(("edge", "backend"), pattern != "plaintext", back, proofs),
    )


def demanding(way: AtEdge) -> bool:
    """Whether each mutual backend must ask for the edge's certificate to be sent anything."""
    return all(b.hop.demand_asks for b in way.behind if isinstance(b.hop, MutualHop))


def by(verify: Verify) -> str:
    """By what a backend proves who it is."""
    if isinstance(verify.by, ByPins):
        return "the certificate or key that is pinned" + (", and name" if verify.by.name_too else "")
    known = "chain and name"
    if isinstance(verify.by, BySpiffe):
        known = f"chain and SPIFFE ID {verify.by.id}" + (", and name" if verify.by.name_too else "")
    return known + (", unless it was revoked" if verify.by.crl else "")

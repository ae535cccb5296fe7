"""A map of trust: for each route of a compiled plan who takes part, what each hop proves, and what each attacker gets.

It reads the plan as data (the JSON form) and decides nothing. Each answer carries its reasoning, because a map that cannot
be argued with is no use in a review. A route is as weak as its weakest backend.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

Way = Literal["passthrough", "mutual", "reencrypt", "plaintext"]
STRENGTH: dict[str, int] = {"plaintext": 0, "reencrypt": 1, "mutual": 2, "passthrough": 3}

# What stays visible to whoever watches the wire, whatever is encrypted.
VISIBLE = ("the server name in the hello (SNI)", "addresses", "sizes and timing")


@dataclass(frozen=True)
class Exposure:
    """What one attacker gets of a route, and why."""

    reads: bool
    changes: bool
    pretends: bool
    """To be the edge, or a client, towards the backend."""
    why: str


@dataclass(frozen=True)
class Hop:
    """One leg: who speaks TLS with whom, and what is proven."""

    between: tuple[str, str]
    encrypted: bool
    oldest: str | None
    """The oldest version of TLS that may be spoken; `None`: not ours to say, or no TLS."""
    proofs: tuple[str, ...]


@dataclass(frozen=True)
class Believed:
    """A word that is taken without proof."""

    who: str
    what: str
    why: str


@dataclass(frozen=True)
class RouteTrust:
    """The whole of one route."""

    name: str
    hosts: tuple[str, ...]
    matches: str
    way: Way
    backends: tuple[tuple[str, str], ...]
    """Place and the hop's pattern."""
    readers: tuple[str, ...]
    changers: tuple[str, ...]
    key_holders: tuple[str, ...]
    hops: tuple[Hop, ...]
    believed: tuple[Believed, ...]
    attackers: dict[str, Exposure]
    clients: Literal["not asked", "asked", "required", "at the backend"]
    expected: frozenset[tuple[str, str]]
    """Roots and name that backends are verified against."""
    closes_at_s: int | None
    accepted_by: str | None
    data: str
    same_host: bool


ATTACKERS = {
    "beside": "a host beside the backend",
    "tap": "a tap or mirror port between edge and backend",
    "direct": "somebody who can reach the backend directly",
    "edge": "whoever takes the edge",
    "backend": "whoever takes one backend",
}


def place(at: dict[str, Any]) -> str:
    if at["kind"] == "unix":
        return f"unix:{at['path']}"
    host = at.get("ip") or at.get("name")
    return f"[{host}]:{at['port']}" if ":" in str(host) else f"{host}:{at['port']}"


def trust_map(plan: dict[str, Any]) -> list[RouteTrust]:
    """One entry a route, in the plan's order."""
    sites = plan["sites"]
    trusted = sorted({net for listener in plan["listeners"] for net in listener["trusted_proxies"]})
    proxied = sorted({net for listener in plan["listeners"] for net in listener["accept_proxy"]})
    return [route_trust(route, sites, trusted, proxied) for route in plan["routes"]]


def site_of(host: str, sites: list[dict[str, Any]]) -> dict[str, Any] | None:
    wild = "*." + host.split(".", 1)[1] if "." in host else ""
    return next((s for s in sites if host in s["hosts"]), None) or next((s for s in sites if wild in s["hosts"]), None)


def matched(way: dict[str, Any]) -> str:
    if way["ends"] == "at_backend":
        return ""
    path = way["path"]
    text = {"any": "/", "exact": "=" + path.get("path", ""), "prefix": path.get("path", "")}[path["kind"]]
    methods = ",".join(way["methods"])
    headers = ",".join(f"{h['name']}={h['equals']}" for h in way["headers"])
    return " ".join(part for part in (methods, text, headers) if part)


def route_trust(
    route: dict[str, Any], sites: list[dict[str, Any]], trusted: list[str], proxied: list[str]
) -> RouteTrust:
    way = route["way"]
    passed = way["ends"] == "at_backend"
    site = None if passed else site_of(route["hosts"][0], sites)
    hops = (
        [("passthrough", b) for b in way["backends"]]
        if passed
        else [(b["hop"]["tls"], b["at"]) for b in way["backends"]]
    )
    weakest = cast(Way, min((tls for tls, _ in hops), key=lambda t: STRENGTH[t]))
    plain = [b["hop"]["reach"] for b in way["backends"] if b["hop"]["tls"] == "plaintext"] if not passed else []
    accepted = [reach["acceptance"] for reach in plain if reach["kind"] == "accepted"]
    networked = bool(accepted)
    readers = ["client", "backend"] if passed else ["client", "edge", "backend"]
    if weakest == "plaintext":
        readers.append("the backend's network" if networked else "this host")
    demand = site["clients"]["mode"] if site else "nothing"
    return RouteTrust(
        name=route["name"],
        hosts=tuple(route["hosts"]),
        matches=matched(way),
        way=weakest,
        backends=tuple((place(at), tls) for tls, at in hops),
        readers=tuple(readers),
        # Who can read an HTTP request can change it; TLS is what keeps the others from both.
        changers=tuple(readers),
        key_holders=("backend",) if passed else ("edge",) if weakest == "plaintext" else ("edge", "backend"),
        hops=legs(passed, weakest, site, demand, way),
        believed=words(passed, weakest, networked, trusted, proxied),
        attackers=attackers(weakest, networked),
        clients="at the backend" if passed else {"nothing": "not asked", "ask": "asked", "require": "required"}[demand],  # type: ignore[arg-type]
        expected=frozenset()
        if passed
        else frozenset(
            (b["hop"]["verify"]["ca"], b["hop"]["verify"]["name"]) for b in way["backends"] if "verify" in b["hop"]
        ),
        closes_at_s=min((a["closes_at_s"] for a in accepted), default=None),
        accepted_by=accepted[0]["owner"] if accepted else None,
        data=route["data"],
        same_host=weakest == "plaintext" and not networked,
    )


def legs(passed: bool, way: str, site: dict[str, Any] | None, demand: str, route: dict[str, Any]) -> tuple[Hop, ...]:
    if passed:
        proof = ("the backend to the client, by its own certificate", "the client to the backend, if the backend asks")
        return (Hop(("client", "backend"), True, None, proof),)
    oldest = min(site["policy"]["versions"]) if site else None
    first = ["the edge to the client, by the site's certificate"]
    if demand != "nothing":
        first.append("the client to the edge, by its certificate" + ("" if demand == "require" else ", if it has one"))
    proofs = {
        "mutual": ("the backend to the edge, by chain and name", "the edge to the backend, by its identity"),
        "reencrypt": ("the backend to the edge, by chain and name",),
        "plaintext": (),
    }[way]
    inner = [b["hop"] for b in route["backends"] if "policy" in b["hop"]]
    back = min((min(h["policy"]["versions"]) for h in inner), default=None) if way != "plaintext" else None
    return (
        Hop(("client", "edge"), True, oldest, tuple(first)),
        Hop(("edge", "backend"), way != "plaintext", back, proofs),
    )


def words(passed: bool, way: str, networked: bool, trusted: list[str], proxied: list[str]) -> tuple[Believed, ...]:
    found = []
    if proxied:
        found.append(
            Believed(
                "the edge",
                f"the PROXY header of {', '.join(proxied)}",
                "it says who the client is, and nothing proves it",
            )
        )
    if trusted and not passed:
        found.append(
            Believed(
                "the edge", f"X-Forwarded-For of {', '.join(trusted)}", "up to the first address that is none of them"
            )
        )
    if way == "mutual":
        return tuple(found)
    if not passed:
        why = (
            "it cannot tell the edge from any other caller"
            if way == "reencrypt"
            else "anyone who reaches it can say the same"
        )
        if way == "plaintext" and not networked:
            why = "any process on this host can say the same"
        found.append(Believed("the backend", "X-Forwarded-For and every other header", why))
    return tuple(found)


def attackers(way: str, networked: bool) -> dict[str, Exposure]:
    """What each attacker gets. The rows are argued one by one, because they are what a review asks for."""
    if way == "passthrough":
        return {
            "beside": Exposure(
                False, False, False, "one TLS session from client to backend; the network carries noise"
            ),
            "tap": Exposure(False, False, False, "one TLS session from client to backend; the network carries noise"),
            "direct": Exposure(
                False, False, False, "it is a client like any other; the backend decides by the client's own proof"
            ),
            "edge": Exposure(False, False, False, "the edge holds no key; it can only stop or delay what it carries"),
            "backend": Exposure(True, True, False, "the backend is where TLS ends: that service is theirs"),
        }
    edge = Exposure(True, True, True, "TLS ends there: it reads and changes every request, and has the keys to go on")
    taken = Exposure(True, True, False, "that backend's traffic is theirs, and no other's")
    if way == "mutual":
        sealed = Exposure(False, False, False, "TLS both ways verified; without the edge's key nobody gets an answer")
        return {"beside": sealed, "tap": sealed, "direct": sealed, "edge": edge, "backend": taken}
    if way == "reencrypt":
        return {
            "beside": Exposure(
                False, False, True, "it cannot read what passes, but it can call the backend and forge headers"
            ),
            "tap": Exposure(False, False, False, "the hop is TLS, verified by chain and name"),
            "direct": Exposure(False, False, True, "the backend answers whoever reaches it, and believes its headers"),
            "edge": edge,
            "backend": taken,
        }
    if networked:
        return {
            "beside": Exposure(
                True, True, True, "on that network it can redirect, read and change what passes, and forge headers"
            ),
            "tap": Exposure(True, False, False, "requests, cookies and answers pass in the clear"),
            "direct": Exposure(False, False, True, "the backend answers whoever reaches it, and believes its headers"),
            "edge": edge,
            "backend": taken,
        }
    return {
        "beside": Exposure(False, False, False, "the hop never leaves this host"),
        "tap": Exposure(False, False, False, "the hop never leaves this host"),
        "direct": Exposure(False, False, True, "any process on this host can call the backend and forge headers"),
        "edge": edge,
        "backend": Exposure(True, True, True, "it is on the edge's host: what it can reach there is theirs as well"),
    }

"""Two maps of trust compared. Routes are matched by what they serve, not by name or order, so that a rename is silence."""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass
from typing import Any, Literal

from everyhop.trust import STRENGTH, RouteTrust, trust_map

KINDS = {
    "boundary-moved": "where TLS ends moved",
    "hop-weakened": "a hop behind the edge protects less",
    "hop-strengthened": "a hop behind the edge protects more",
    "new-reader": "somebody can read who could not before",
    "reader-gone": "somebody cannot read any more",
    "name-covered": "the edge's certificates cover a name that they did not",
    "name-uncovered": "the edge's certificates cover a name no more",
    "verification-changed": "backends are verified against something else",
    "client-demand-weakened": "less is demanded of clients",
    "client-demand-strengthened": "more is demanded of clients",
    "clients-widened": "more clients may pass",
    "clients-narrowed": "fewer clients may pass",
    "tls-weakened": "an older version of TLS may be spoken",
    "tls-strengthened": "older versions of TLS are refused",
    "trusted-widened": "the word of more networks is believed",
    "trusted-narrowed": "the word of fewer networks is believed",
    "acceptance-added": "someone accepted a plaintext hop",
    "acceptance-lengthened": "an acceptance lasts longer",
    "acceptance-shortened": "an acceptance ends sooner",
    "acceptance-gone": "an acceptance is gone",
    "route-added": "something new is served",
    "route-removed": "something is served no more",
    "unnamed-answered": "hellos without a known name get another answer",
}

Direction = Literal["weaker", "stronger", "neutral"]


@dataclass(frozen=True)
class Change:
    """One change, what follows from it, and whether it is covered by someone's acceptance."""

    kind: str
    about: str
    """The route, site, listener or name."""
    direction: Direction
    what: str
    so: str
    covered: bool = False

    @property
    def allow(self) -> str:
        """What `--allow` takes."""
        return f"{self.kind}:{self.about}"


Key = tuple[str, str]


def served(maps: list[RouteTrust]) -> dict[Key, RouteTrust]:
    """Each host with what is matched under it."""
    return {(host, it.matches): it for it in maps for host in it.hosts}


def compare(old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    """All changes in trust, weaker ones first. Plans in their JSON form."""
    before, after = served(trust_map(old)), served(trust_map(new))
    found: dict[Change, None] = {}
    for key in sorted({*before, *after}):
        a, b = before.get(key), after.get(key)
        if a is not None and b is not None:
            found.update(dict.fromkeys(route_changes(a, b)))
        elif b is not None:
            found[added(key, b)] = None
        elif a is not None:
            found[
                Change("route-removed", a.name, "neutral", f"{shown(key)} is served no more", "its clients are refused")
            ] = None
    found.update(dict.fromkeys(allow_changes(old, new)))
    found.update(dict.fromkeys(site_changes(old, new)))
    found.update(dict.fromkeys(listener_changes(old, new)))
    order = {"weaker": 0, "neutral": 1, "stronger": 2}
    return sorted(found, key=lambda c: (order[c.direction], c.kind, c.about))


def shown(key: Key) -> str:
    host, matches = key
    return f"{host} {matches}".strip()


def added(key: Key, it: RouteTrust) -> Change:
    readers = ", ".join(it.readers)
    weak = it.way == "plaintext" and not it.same_host
    return Change(
        "route-added",
        it.name,
        "weaker" if weak else "neutral",
        f"{shown(key)} is served, {it.way}",
        f"read by {readers}",
        covered=weak,
    )


def route_changes(a: RouteTrust, b: RouteTrust) -> list[Change]:
    out: list[Change] = []
    name = b.name
    if (a.way == "passthrough") != (b.way == "passthrough"):
        inward = b.way == "passthrough"
        so = "the edge cannot read it any more" if inward else "the edge reads every request, and holds the key"
        out.append(
            Change(
                "boundary-moved",
                name,
                "stronger" if inward else "weaker",
                f"TLS ended at the {'edge' if inward else 'backend'}, now at the {'backend' if inward else 'edge'}",
                so,
            )
        )
    elif a.way != b.way:
        weaker = STRENGTH[b.way] < STRENGTH[a.way]
        kind = "hop-weakened" if weaker else "hop-strengthened"
        attack = [
            k
            for k in b.attackers
            if b.attackers[k].reads != a.attackers[k].reads or b.attackers[k].pretends != a.attackers[k].pretends
        ]
        so = "; ".join(b.attackers[k].why for k in attack) or "the proofs differ"
        covered = weaker and b.way == "plaintext" and b.accepted_by is not None
        out.append(
            Change(
                kind,
                name,
                "weaker" if weaker else "stronger",
                f"the hop to the backend was {a.way}, now {b.way}",
                so,
                covered=covered,
            )
        )
    for reader in b.readers:
        if reader not in a.readers:
            covered = reader == "the backend's network" and b.accepted_by is not None
            out.append(
                Change(
                    "new-reader",
                    name,
                    "weaker",
                    f"{reader} can read it",
                    "what it reads it can keep and change",
                    covered=covered,
                )
            )
    for reader in a.readers:
        if reader not in b.readers:
            out.append(
                Change("reader-gone", name, "stronger", f"{reader} cannot read it any more", "one party less to trust")
            )
    if (
        a.expected != b.expected
        and a.way != "plaintext"
        and b.way not in {"plaintext", "passthrough"}
        and a.way != "passthrough"
    ):
        gone = ", ".join(f"{n} by {ca.removeprefix('ca/')}" for ca, n in sorted(a.expected - b.expected)) or "nothing"
        come = ", ".join(f"{n} by {ca.removeprefix('ca/')}" for ca, n in sorted(b.expected - a.expected)) or "nothing"
        out.append(
            Change(
                "verification-changed",
                name,
                "weaker",
                f"backends had to be {gone}, now {come}",
                "another certificate opens the way to this traffic",
            )
        )
    demands = {"not asked": 0, "asked": 1, "required": 2}
    if a.clients in demands and b.clients in demands and a.clients != b.clients:
        less = demands[b.clients] < demands[a.clients]
        out.append(
            Change(
                "client-demand-weakened" if less else "client-demand-strengthened",
                name,
                "weaker" if less else "stronger",
                f"client certificates were {a.clients}, now {b.clients}",
                "clients without proof reach it" if less else "clients must prove who they are",
            )
        )
    out += version_changes(a, b)
    out += acceptance_changes(a, b)
    return out


def version_changes(a: RouteTrust, b: RouteTrust) -> list[Change]:
    out = []
    before = {hop.between: hop.oldest for hop in a.hops}
    for hop in b.hops:
        old = before.get(hop.between)
        if old is not None and hop.oldest is not None and old != hop.oldest:
            less = hop.oldest < old
            leg = f"between {hop.between[0]} and {hop.between[1]}"
            out.append(
                Change(
                    "tls-weakened" if less else "tls-strengthened",
                    b.name,
                    "weaker" if less else "stronger",
                    f"TLS {leg} was {old} or newer, now {hop.oldest} or newer",
                    "older clients fit, with older protection" if less else "older clients are refused",
                )
            )
    return out


def day(seconds: int) -> str:
    return dt.datetime.fromtimestamp(seconds - 1, dt.UTC).date().isoformat()


def acceptance_changes(a: RouteTrust, b: RouteTrust) -> list[Change]:
    old, new = a.closes_at_s, b.closes_at_s
    if old == new:
        return []
    if old is None and new is not None:
        return [
            Change(
                "acceptance-added",
                b.name,
                "neutral",
                f"{b.accepted_by} accepts plaintext until {day(new)}",
                "the route closes then",
            )
        ]
    if new is None:
        return [
            Change(
                "acceptance-gone", b.name, "stronger", "no acceptance is needed any more", "nobody has to answer for it"
            )
        ]
    assert old is not None
    if new > old:
        return [
            Change(
                "acceptance-lengthened",
                b.name,
                "weaker",
                f"plaintext was accepted until {day(old)}, now until {day(new)}",
                f"{b.accepted_by} answers for the time in between",
            )
        ]
    return [
        Change(
            "acceptance-shortened",
            b.name,
            "stronger",
            f"plaintext was accepted until {day(old)}, now until {day(new)}",
            "the route closes sooner",
        )
    ]


def allow_changes(old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    def allowed(plan: dict[str, Any]) -> dict[Key, tuple[str, set[str] | None]]:
        found: dict[Key, tuple[str, set[str] | None]] = {}
        for it, route in zip(trust_map(plan), plan["routes"], strict=True):
            way = route["way"]
            if way["ends"] == "at_edge":
                names = way["allow_clients"]
                found.update(
                    {(host, it.matches): (it.name, None if names is None else set(names)) for host in it.hosts}
                )
        return found

    out = []
    before = allowed(old)
    for key, (name, now) in allowed(new).items():
        if key not in before or before[key][1] == now:
            continue
        was = before[key][1]
        wider = now is None or (was is not None and bool(now - was))
        what = "any client that the site lets in" if now is None else ", ".join(sorted(now - (was or set()))) or "fewer"
        out.append(
            Change(
                "clients-widened" if wider else "clients-narrowed",
                name,
                "weaker" if wider else "stronger",
                f"allowed clients: now also {what}" if wider else "fewer clients are allowed",
                "they reach this route" if wider else "the others get 403",
            )
        )
    return out


def site_changes(old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    before = {h: s["name"] for s in old["sites"] for h in s["hosts"]}
    after = {h: s["name"] for s in new["sites"] for h in s["hosts"]}
    out = [
        Change(
            "name-covered", h, "weaker", f"site {after[h]!r} now ends TLS for {h}", "the edge holds a key for that name"
        )
        for h in sorted({*after} - {*before})
    ]
    out += [
        Change(
            "name-uncovered", h, "stronger", f"no site ends TLS for {h} any more", "the edge needs no key for that name"
        )
        for h in sorted({*before} - {*after})
    ]
    return out


def inside(network: str, others: list[str]) -> bool:
    mine = ipaddress.ip_network(network)
    return any(mine.version == n.version and mine.subnet_of(n) for n in map(ipaddress.ip_network, others))  # type: ignore[arg-type]


def listener_changes(old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    out = []
    before = {listener["name"]: listener for listener in old["listeners"]}
    for listener in new["listeners"]:
        name = listener["name"]
        was = before.get(
            name,
            {
                "trusted_proxies": [],
                "accept_proxy": [],
                "no_sni": {"answer": "refuse"},
                "unknown_sni": {"answer": "refuse"},
            },
        )
        for field, word in (("trusted_proxies", "X-Forwarded-For"), ("accept_proxy", "the PROXY header")):
            for network in listener[field]:
                if not inside(network, was[field]):
                    out.append(
                        Change(
                            "trusted-widened",
                            name,
                            "weaker",
                            f"{word} of {network} is believed",
                            "whoever is there can name any client",
                        )
                    )
            for network in was[field]:
                if not inside(network, listener[field]):
                    out.append(
                        Change(
                            "trusted-narrowed",
                            name,
                            "stronger",
                            f"{word} of {network} is not believed any more",
                            "fewer words without proof",
                        )
                    )
        for field in ("no_sni", "unknown_sni"):
            if listener[field] != was[field]:
                opened = was[field]["answer"] == "refuse"
                out.append(
                    Change(
                        "unnamed-answered",
                        name,
                        "weaker" if opened else "neutral",
                        f"{field}: was {was[field]['answer']}, now {listener[field]['answer']}",
                        "clients that name nobody get a certificate" if opened else "other clients get in",
                    )
                )
    return out

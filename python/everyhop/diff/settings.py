"""Changes that the map of trust does not show: who is allowed, ciphers, backends, listeners, what is recorded."""

from __future__ import annotations

import ipaddress
from typing import Any

from everyhop.diff.kinds import Change
from everyhop.trust import STRENGTH, RouteTrust
from everyhop.trust.map import place

Key = tuple[str, str]
Plan = dict[str, Any]
DATA = ("undeclared", "public", "internal", "confidential", "major-incident")


Pair = tuple[str, dict[str, Any], dict[str, Any]]


def pairs(old: Plan, new: Plan, maps: tuple[list[RouteTrust], list[RouteTrust]]) -> list[Pair]:
    """Name and both sides of every route that serves the same in both plans and differs."""

    def by_key(plan: Plan, of: list[RouteTrust]) -> dict[Key, dict[str, Any]]:
        return {(h, it.matches): route for it, route in zip(of, plan["routes"], strict=True) for h in it.hosts}

    before, after = by_key(old, maps[0]), by_key(new, maps[1])
    return [
        (route["name"], before[key], route) for key, route in after.items() if key in before and before[key] != route
    ]


def allowed(both: list[Pair]) -> list[Change]:
    out = []
    for name, a, b in both:
        if (
            a["way"]["ends"] != "at_edge"
            or b["way"]["ends"] != "at_edge"
            or a["way"]["allow_clients"] == b["way"]["allow_clients"]
        ):
            continue
        was, now = a["way"]["allow_clients"], b["way"]["allow_clients"]
        if now is None or (was is not None and set(now) - set(was)):
            who = "any client that the site lets in" if now is None else ", ".join(sorted(set(now) - set(was)))
            out.append(Change("clients-widened", name, "weaker", f"{who} may pass", "they reach this route"))
        else:
            out.append(Change("clients-narrowed", name, "stronger", "fewer clients may pass", "the others get 403"))
    return out


def hops(way: dict[str, Any]) -> dict[str, dict[str, Any]]:
    if way["ends"] == "at_backend":
        return {place(at): {"tls": "passthrough"} for at in way["backends"]}
    return {place(b["at"]): b["hop"] for b in way["backends"]}


def details(both: list[Pair]) -> list[Change]:
    """What differs within routes that serve the same."""
    out = []
    for name, a, b in both:
        was, now = hops(a["way"]), hops(b["way"])
        out += [
            Change("backend-added", name, "neutral", f"{at} is a backend", "it gets a share of the traffic")
            for at in sorted({*now} - {*was})
        ]
        out += [
            Change("backend-removed", name, "neutral", f"{at} is no backend any more", "it gets nothing")
            for at in sorted({*was} - {*now})
        ]
        for at in sorted({*was} & {*now}):
            if was[at].get("present") and now[at].get("present") and was[at]["present"] != now[at]["present"]:
                out.append(
                    Change(
                        "identity-changed",
                        name,
                        "neutral",
                        f"{at} is shown {now[at]['present']!r} instead of {was[at]['present']!r}",
                        "the backend sees another caller",
                    )
                )
            if "policy" in was[at] and "policy" in now[at]:
                out += ciphers(name, f"towards {at}", was[at]["policy"], now[at]["policy"])
            out += owners(name, was[at], now[at])
        if a["priority"] != b["priority"]:
            out.append(
                Change(
                    "precedence-changed",
                    name,
                    "neutral",
                    f"priority {a['priority']} became {b['priority']}",
                    "another route may win where several match",
                )
            )
        if a["data"] != b["data"]:
            lower = DATA.index(b["data"]) < DATA.index(a["data"])
            out.append(
                Change(
                    "data-lowered" if lower else "data-raised",
                    name,
                    "weaker" if lower else "stronger",
                    f"data was {a['data']}, now {b['data']}",
                    "weaker protection passes" if lower else "plaintext may be refused",
                )
            )
        out += ways(name, a["way"], b["way"])
    return out


def ways(name: str, a: dict[str, Any], b: dict[str, Any]) -> list[Change]:
    if a["ends"] != b["ends"]:
        return []
    out = []
    if a["ends"] == "at_backend":
        if a["send_proxy"] != b["send_proxy"]:
            out.append(
                Change(
                    "address-told",
                    name,
                    "neutral",
                    f"send_proxy was {a['send_proxy']}, now {b['send_proxy']}",
                    "the backend must expect the same",
                )
            )
        return out
    if a["pattern"] != b["pattern"]:
        less = STRENGTH[b["pattern"]] < STRENGTH[a["pattern"]]
        out.append(
            Change(
                "promise-weakened" if less else "promise-strengthened",
                name,
                "weaker" if less else "stronger",
                f"the route promised {a['pattern']}, now {b['pattern']}",
                "a weaker backend may be added" if less else "a weaker backend is refused",
                covered=less and b["pattern"] == "plaintext" and accepted(b),
            )
        )
    if a["websocket"] != b["websocket"]:
        opened = b["websocket"]
        out.append(
            Change(
                "tunnel-opened" if opened else "tunnel-closed",
                name,
                "neutral" if opened else "stronger",
                f"WebSocket upgrades {'pass' if opened else 'are refused'}",
                "bytes in a tunnel are not read as HTTP" if opened else "every byte is read as HTTP",
            )
        )
    return out


def accepted(way: dict[str, Any]) -> bool:
    return any(b["hop"]["tls"] == "plaintext" and b["hop"]["reach"]["kind"] == "accepted" for b in way["backends"])


def owners(name: str, a: dict[str, Any], b: dict[str, Any]) -> list[Change]:
    was, now = a.get("reach", {}).get("acceptance"), b.get("reach", {}).get("acceptance")
    if was and now and was["owner"] != now["owner"]:
        return [
            Change(
                "acceptance-owner-changed",
                name,
                "neutral",
                f"{now['owner']} answers for the plaintext, {was['owner']} did",
                "ask them whether they know",
            )
        ]
    return []


def ciphers(about: str, where: str, a: dict[str, Any], b: dict[str, Any]) -> list[Change]:
    """Versions, suites and groups as sets: their order is a matter of speed."""
    out = []
    for field, word in (("versions", "TLS"), ("suites", "the suite"), ("groups", "the group")):
        come, gone = sorted({*b[field]} - {*a[field]}), sorted({*a[field]} - {*b[field]})
        if come:
            post_quantum = all("MLKEM" in x for x in come)
            out.append(
                Change(
                    "tls-strengthened" if post_quantum else "tls-weakened",
                    about,
                    "stronger" if post_quantum else "weaker",
                    f"{where}: {word} {', '.join(come)} may be used",
                    "what is recorded today stays closed later"
                    if post_quantum
                    else "the weakest that both sides take is what protects",
                )
            )
        if gone:
            post_quantum = any("MLKEM" in x for x in gone)
            out.append(
                Change(
                    "tls-weakened" if post_quantum else "tls-strengthened",
                    about,
                    "weaker" if post_quantum else "stronger",
                    f"{where}: {word} {', '.join(gone)} is gone",
                    "what is recorded today may be read by a quantum computer"
                    if post_quantum
                    else "clients that have nothing else are refused",
                )
            )
    return out


def sites(old: Plan, new: Plan) -> list[Change]:
    before = {h: s for s in old["sites"] for h in s["hosts"]}
    after = {h: s for s in new["sites"] for h in s["hosts"]}
    out = [
        Change("name-covered", h, "weaker", f"the edge now ends TLS for {h}", "it holds a key for that name")
        for h in sorted({*after} - {*before})
    ]
    out += [
        Change("name-uncovered", h, "stronger", f"the edge ends TLS for {h} no more", "it needs no key for that name")
        for h in sorted({*before} - {*after})
    ]
    demands = {"nothing": 0, "ask": 1, "require": 2}
    for h in sorted({*before} & {*after}):
        a, b = before[h], after[h]
        was, now = a["clients"]["mode"], b["clients"]["mode"]
        if was != now:
            less = demands[now] < demands[was]
            out.append(
                Change(
                    "client-demand-weakened" if less else "client-demand-strengthened",
                    h,
                    "weaker" if less else "stronger",
                    f"of clients it demanded {was}, now {now}",
                    "clients without proof get in" if less else "clients must prove who they are",
                )
            )
        elif now != "nothing" and a["clients"]["ca"] != b["clients"]["ca"]:
            out.append(
                Change(
                    "client-roots-changed",
                    h,
                    "weaker",
                    f"client certificates were believed by {a['clients']['ca']}, now by {b['clients']['ca']}",
                    "other clients can prove themselves",
                )
            )
        if was != "nothing" and now != "nothing":
            out += revocation(h, a["clients"], b["clients"])
        out += ciphers(h, "towards clients", a["policy"], b["policy"])
    return out


def revocation(h: str, was: dict[str, Any], now: dict[str, Any]) -> list[Change]:
    """What became of asking whether a client's certificate was revoked."""
    if was["crl"] != now["crl"]:
        less = now["crl"] is None
        return [
            Change(
                "revocation-weakened" if less or was["crl"] else "revocation-strengthened",
                h,
                "weaker" if less or was["crl"] else "stronger",
                f"revoked clients were known by {was['crl'] or 'no list'}, now by {now['crl'] or 'no list'}",
                "a revoked client certificate passes" if less else "other client certificates are refused",
            )
        ]
    if was["stale_crl"] != now["stale_crl"]:
        less = now["stale_crl"] == "allow"
        return [
            Change(
                "revocation-weakened" if less else "revocation-strengthened",
                h,
                "weaker" if less else "stronger",
                f"an overdue revocation list {'still holds' if less else 'lets no client certificate pass'}",
                "who was revoked since passes" if less else "clients depend on the list being fresh",
            )
        ]
    return []


def inside(network: str, others: list[str]) -> bool:
    mine = ipaddress.ip_network(network)
    return any(mine.version == n.version and mine.subnet_of(n) for n in map(ipaddress.ip_network, others))  # type: ignore[arg-type]


def answer(plan: Plan, given: dict[str, Any]) -> object:
    """What stands behind an answer's name, so that renaming it is silence."""
    if given["answer"] == "site":
        return ("site", tuple(next((s["hosts"] for s in plan["sites"] if s["name"] == given["site"]), ())))
    if given["answer"] == "route":
        return ("route", tuple(next((r["hosts"] for r in plan["routes"] if r["name"] == given["route"]), ())))
    return "refuse"


def listeners(old: Plan, new: Plan) -> list[Change]:
    """Matched by address: a listener's name is only a name."""
    before = {at: x for x in old["listeners"] for at in x["bind"]}
    after = {at: x for x in new["listeners"] for at in x["bind"]}
    out = [
        Change("address-added", at, "neutral", f"connections are taken at {at}", "whoever reaches it is served")
        for at in sorted({*after} - {*before})
    ]
    out += [
        Change("address-removed", at, "neutral", f"connections are taken at {at} no more", "its clients are refused")
        for at in sorted({*before} - {*after})
    ]
    nobody = {
        "trusted_proxies": [],
        "accept_proxy": [],
        "no_sni": {"answer": "refuse"},
        "unknown_sni": {"answer": "refuse"},
    }
    for at, b in sorted(after.items()):
        a = before.get(at, nobody)
        for field, word in (("trusted_proxies", "X-Forwarded-For"), ("accept_proxy", "the PROXY header")):
            out += [
                Change(
                    "trusted-widened",
                    at,
                    "weaker",
                    f"{word} of {n} is believed",
                    "whoever is there can name any client",
                )
                for n in b[field]
                if not inside(n, a[field])
            ]
            out += [
                Change(
                    "trusted-narrowed",
                    at,
                    "stronger",
                    f"{word} of {n} is not believed any more",
                    "fewer words without proof",
                )
                for n in a[field]
                if not inside(n, b[field])
            ]
        for field in ("no_sni", "unknown_sni"):
            was, now = answer(old, a[field]), answer(new, b[field])
            if was != now:
                out.append(
                    Change(
                        "unnamed-answered",
                        at,
                        "weaker" if was == "refuse" else "neutral",
                        f"{field} was {a[field]['answer']}, now {b[field]['answer']}",
                        "clients that name nobody get in" if was == "refuse" else "other clients get in",
                    )
                )
    return out


def evidence(old: Plan, new: Plan) -> list[Change]:
    out = []
    was, now = old["log"], new["log"]
    if (was["access"]["to"] == "off") != (now["access"]["to"] == "off"):
        less = now["access"]["to"] == "off"
        out.append(
            Change(
                "evidence-weakened" if less else "evidence-strengthened",
                "log",
                "weaker" if less else "stronger",
                f"the access log is {'off' if less else 'on'}",
                "nobody can say afterwards what happened" if less else "what happens is written down",
            )
        )
    if was["on_full"] != now["on_full"]:
        less = now["on_full"] == "drop"
        out.append(
            Change(
                "evidence-weakened" if less else "evidence-strengthened",
                "log",
                "weaker" if less else "stronger",
                f"a full log was {was['on_full']}, now {now['on_full']}",
                "lines may be missing" if less else "nothing passes unrecorded",
            )
        )
    if old["status"] != new["status"]:
        opened = new["status"]["kind"] == "bound" and not loopback(new["status"]["bind"])
        out.append(
            Change(
                "status-exposed" if opened else "status-closed",
                "status",
                "weaker" if opened else "neutral",
                f"metrics are at {new['status'].get('bind', 'no address')}",
                "whoever reaches it reads names and counts" if opened else "they stay on this host",
            )
        )
    return out


def loopback(bind: str) -> bool:
    return ipaddress.ip_address(bind.rpartition(":")[0].strip("[]")).is_loopback

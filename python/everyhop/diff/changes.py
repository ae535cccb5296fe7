"""Two maps of trust compared. Routes are matched by what they serve, not by name or order, so that a rename is silence."""

from __future__ import annotations

import datetime as dt
from typing import Any

from everyhop.diff import settings
from everyhop.diff.kinds import Change
from everyhop.trust import STRENGTH, RouteTrust, trust_map

Key = tuple[str, str]


def served(maps: list[RouteTrust]) -> dict[Key, RouteTrust]:
    """Each host with what is matched under it."""
    return {(host, it.matches): it for it in maps for host in it.hosts}


def compare(old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    """All changes in trust, weaker ones first. Plans in their JSON form."""
    maps = (trust_map(old), trust_map(new))
    before, after = served(maps[0]), served(maps[1])
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
    both = settings.pairs(old, new, maps)
    found.update(dict.fromkeys([*settings.allowed(both), *settings.details(both)]))
    for look in (settings.sites, settings.listeners, settings.evidence):
        found.update(dict.fromkeys(look(old, new)))
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
    out += acceptance_changes(a, b)
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

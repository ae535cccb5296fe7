"""Listeners: where connections are taken, whose word is believed there, and what hellos without a known name get.
Matched by address: a listener's name is only a name."""

from __future__ import annotations

import ipaddress

from everyhop.diff.kinds import Change
from everyhop.plan import AnswerRoute, AnswerSite, Listener, Plan, Refuse, Unnamed

WORDS = (("trusted_proxies", "X-Forwarded-For"), ("accept_proxy", "the PROXY header"))
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def listener_changes(old: Plan, new: Plan) -> list[Change]:
    before = {at: x for x in old.listeners for at in x.bind}
    after = {at: x for x in new.listeners for at in x.bind}
    out = [
        Change("address-added", at, f"connections are taken at {at}", "whoever reaches it is served")
        for at in sorted({*after} - {*before})
    ]
    out += [
        Change("address-removed", at, f"connections are taken at {at} no more", "its clients are refused")
        for at in sorted({*before} - {*after})
    ]
    # A listener that moved to another address altogether is compared all the same, or the move would hide the rest.
    nobody = Listener(
        name="",
        bind=[],
        no_sni=Refuse(answer="refuse"),
        unknown_sni=Refuse(answer="refuse"),
        accept_proxy=[],
        trusted_proxies=[],
        connections=0,
    )
    for at, b in sorted(after.items()):
        a = before.get(at) or next((x for x in old.listeners if x.name == b.name), nobody)
        for field, word in WORDS:
            out += trusted(at, word, getattr(a, field), getattr(b, field))
        for field in ("no_sni", "unknown_sni"):
            out += unnamed(at, field, (old, getattr(a, field)), (new, getattr(b, field)))
    return out


def trusted(at: str, word: str, was: list[str], now: list[str]) -> list[Change]:
    out = [
        Change("trusted-widened", at, f"{word} of {n} is believed", "whoever is there can name any client")
        for n in left(now, was)
    ]
    out += [
        Change("trusted-narrowed", at, f"{word} of {n} is not believed any more", "fewer words without proof")
        for n in left(was, now)
    ]
    return out


def left(those: list[str], without: list[str]) -> list[str]:
    """The networks that hold the addresses of `those` which are not in `without`, however either is cut into pieces."""
    out: list[Network] = []
    for version in (4, 6):
        rest = merged(those, version)
        for other in merged(without, version):
            rest = [piece for net in rest for piece in pieces(net, other)]
        out += rest
    return [str(net) for net in out]


def merged(texts: list[str], version: int) -> list[Network]:
    nets = [net for net in map(ipaddress.ip_network, texts) if net.version == version]
    return list(ipaddress.collapse_addresses(nets))  # type: ignore[type-var]


def pieces(net: Network, other: Network) -> list[Network]:
    """`net` without `other`."""
    if net.subnet_of(other):  # type: ignore[arg-type]
        return []
    if other.subnet_of(net):  # type: ignore[arg-type]
        return list(net.address_exclude(other))  # type: ignore[arg-type]
    return [net]


def unnamed(at: str, field: str, was: tuple[Plan, Unnamed], now: tuple[Plan, Unnamed]) -> list[Change]:
    a, b = answer(*was), answer(*now)
    if a == b:
        return []
    kind = "unnamed-answered" if a == "refuse" else "unnamed-refused" if b == "refuse" else "unnamed-moved"
    so = {
        "unnamed-answered": "clients that name nobody get in",
        "unnamed-refused": "clients that name nobody are refused",
        "unnamed-moved": "other clients get in",
    }[kind]
    return [Change(kind, at, f"{field} was {was[1].answer}, now {now[1].answer}", so)]


def answer(plan: Plan, given: Unnamed) -> object:
    """What stands behind an answer's name, so that renaming it is silence."""
    if isinstance(given, AnswerSite):
        return ("site", tuple(next((s.hosts for s in plan.sites if s.name == given.site), ())))
    if isinstance(given, AnswerRoute):
        return ("route", tuple(next((r.hosts for r in plan.routes if r.name == given.route), ())))
    return "refuse"

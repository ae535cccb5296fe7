"""Whether the DNS lets the authorities of `[acme]` issue, each in its turn, for each name of each site that has its certificate by ACME.

The DNS is asked once for a name, and a directory once where its authority has no word. Keys are never read. Read next: `caa.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from everyhop.acme import Authority, Stopped, authority
from everyhop.acme.account import kept
from everyhop.acme.directory import KNOWN_CAA, fetched
from everyhop.acme.network import Network
from everyhop.compile.rules_acme import answered, place
from everyhop.compile.world import World
from everyhop.online import lookup
from everyhop.online.caa import Standing, judged, standing
from everyhop.online.together import together


@dataclass(frozen=True)
class Turn:
    """One authority, and by what the DNS knows it."""

    who: Authority
    is_first: bool
    known_as: tuple[str, ...]
    why: str
    """Why the names by which it is known there are not."""
    account: str | None
    """Where it has the account that is kept here."""


@dataclass(frozen=True)
class Asked:
    """One name of a site, and what the DNS has of it."""

    key: tuple[str | int, ...]
    site: str
    name: str
    found: Standing | OSError


def let(world: World) -> None:
    sites = [(i, it) for i, it in enumerate(world.config.site) if it.is_by_acme]
    if not sites:
        return
    looked_for = {name: i for i, site in sites for name in world.site_hosts.get(site.name, [])}
    found: dict[str, Standing | OSError]
    try:
        ask = lookup.records(world.config.dns.servers)
        found = together(lambda name: standing(name, ask), list(looked_for))
    except OSError as e:
        found = dict.fromkeys(looked_for, e)
    names = [Asked(place(world, i, it), world.config.site[i].name, it, found[it]) for it, i in looked_for.items()]
    kinds, ca = answered(world), world.config.acme.ca
    for text in dict.fromkeys(world.config.acme.authority):
        by = turn(world, authority(text, None if ca is None else world.base / ca))
        for it in names:
            tell(world, it, by, kinds_of(it.name, kinds))


def turn(world: World, who: Authority) -> Turn:
    is_first = world.config.acme.authority[0] == who.name
    return Turn(who, is_first, *identities(who), kept(world.base / world.config.acme.state, who))


def kinds_of(name: str, kinds: Sequence[str]) -> list[str]:
    """A wildcard is proved in the DNS alone (RFC 8555 §7.1.3)."""
    return [it for it in kinds if it == "dns-01" or not name.startswith("*.")]


def tell(world: World, it: Asked, by: Turn, kinds: Sequence[str]) -> None:
    whom = by.who.name if by.is_first else f"{by.who.name}, where those before it are down,"
    asks = f"site {it.site!r} asks {whom} for {it.name}"
    if isinstance(it.found, OSError):
        if by.is_first:
            what = f"{asks}, and whether the DNS lets it issue is not to be had here: {it.found.strerror or it.found}"
            mend = "have the zone's servers answer for CAA: an authority that gets no answer issues nothing"
            world.find("note", "acme/caa", it.key, what, mend, mark=it.name)
        return
    says = judged(it.found, by.known_as, kinds, by.account)
    if says.says == "may":
        return
    what, mark = f"{asks}, and the records of CAA at {says.at} {says.why}", f"{it.name} {by.who.name}"
    mark = it.name if by.is_first else mark
    state = world.config.acme.state
    if says.says == "perhaps":
        mend = f"see that it is the account that is kept in {state}, where there is none yet, or take accounturi out of the record"
        world.find("note", "acme/caa", it.key, what, mend, mark=mark)
    elif not by.known_as:
        mend = "ask the authority by which name CAA lets it issue"
        world.find("note", "acme/caa", it.key, f"{what}: {by.why}", mend, mark=mark)
    else:
        tag = "issuewild" if it.name.startswith("*.") else "issue"
        value = by.known_as[0] + (f"; accounturi={by.account}" if says.is_of_account else "")
        mends = [f'let it, in the zone: {says.at}. CAA 0 {tag} "{value}"', "or ask one that may: [acme] authority"]
        if says.is_of_account:
            mends.append(f"or bring the account that is named there to {state}")
        world.find("refused" if by.is_first else "warning", "acme/caa", it.key, what, *mends, mark=mark)


def identities(who: Authority) -> tuple[tuple[str, ...], str]:
    """By which names CAA lets it issue; or none, and why they are not known."""
    if who.name in KNOWN_CAA:
        return KNOWN_CAA[who.name], ""
    network = Network(who.name, who.roots())
    try:
        found = fetched(who, network).caa
    except Stopped as e:
        return (), f"whether one of those is {who.name} is not known: {e}"
    finally:
        network.close()
    return found, f"whether one of those is {who.name} is not known, since its directory does not say (caaIdentities)"

"""Reads the revocation lists that a configuration names, of clients and of backends alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from everyhop.compile.coming import located
from everyhop.compile.world import Key, World
from everyhop.identity import Unusable


@dataclass(frozen=True)
class Whose:
    """Whose certificates a list revokes, in words."""

    all: str
    none_passes: str


CLIENTS = Whose("clients", "no client certificate passes")
BACKENDS = Whose("backends", "no backend passes")


def lists(world: World, key: Key, label: str, ca: str, stale: Literal["refuse", "allow"], whose: Whose) -> None:
    """The lists in the file `label`, for who is verified against the roots in `ca`."""
    issuers = world.roots.get(ca)
    if (path := located(world, key, label, "lists")) is None or issuers is None:
        return  # they are yet to come, or refused where they were read
    try:
        found = world.crls[label] = world.readings.crl(path, issuers, world.base, whose.all)
    except Unusable as e:
        world.refuse(e.slug, key, e.what, e.mend)
        return
    if found.next_update <= world.now:
        so = whose.none_passes if stale == "refuse" else "who was revoked since passes"
        world.warn(
            "crl/stale",
            key,
            f"{label}: a revocation list was due to be replaced on {found.next_update:%Y-%m-%d %H:%M} UTC; {so}",
            "fetch the new list from the authority; the file is watched, no restart is needed",
            mark=found.next_update.isoformat(),
        )

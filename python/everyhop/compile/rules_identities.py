"""Rules about identities that come by themselves, and about sites that show one. Their files are judged in `coming.py`."""

from __future__ import annotations

from everyhop.compile import names
from everyhop.compile.world import Key, World
from everyhop.model import CaIdentity


def judge(world: World) -> None:
    folders: dict[str, int] = {}
    for i, it in enumerate(world.config.identity):
        if not isinstance(it, CaIdentity):
            continue
        at = names.address(it.authority)
        if at is None or at.unix is not None or at.service is not None:
            what = f"identity {it.name!r} comes from {it.authority!r}, which is no host and port"
            world.refuse("identity/authority", ("identity", i, "authority"), what, 'authority = "ca.internal:7443"')
        if (first := folders.setdefault(it.folder, i)) != i:
            what = f"identity {it.name!r} is kept in {it.folder}, and so is {world.config.identity[first].name!r}"
            world.refuse(
                "identity/folder",
                ("identity", i, "state" if it.state is not None else "name"),
                what,
                "give each a folder of its own, or let both routes present one",
                also=(("identity", first, "name"),),
            )
    for n in range(len(world.config.site)):
        shown(world, n)


def shown(world: World, n: int) -> None:
    """A site shows an identity for the hosts that it names: those do not hang on what has come."""
    site = world.config.site[n]
    if site.identity is None:
        return
    key: Key = ("site", n, "certs", 0, "identity")
    known = [it.name for it in world.config.identity]
    if site.identity not in known:
        world.refuse(
            "config/unknown-name",
            key,
            f"site {site.name!r} shows {site.identity!r}, and there is no such [[identity]]",
            f"one of: {', '.join(known) or '(none)'}",
        )
    if site.hosts is None:
        what = f"site {site.name!r} shows identity {site.identity!r}, and names no hosts"
        world.refuse("identity/hosts", key, what, 'hosts = ["guard.internal"]: the names in its certificate')

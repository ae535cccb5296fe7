"""Sites whose TLS carries what is not read: those that own the names of routes with `protocol = "tcp"`. All of a site is one
or the other, since no client may choose by which it is read. Read next: `rules_streams.py`."""

from __future__ import annotations

from typing import Literal

from everyhop.compile import names
from everyhop.compile.world import World


def owner(world: World, host: str) -> str | None:
    """The site that ends the TLS of a name or pattern: the one that names it most exactly."""
    owned = {own: site for site, hosts in world.site_hosts.items() for own in hosts}
    if host in owned:
        return owned[host]
    rest = host
    while rest:
        _, _, rest = rest.partition(".")
        if rest and (site := owned.get(f"*.{rest}")) is not None:
            return site
    return None


def streaming(world: World) -> dict[str, list[int]]:
    """By the name of each site that carries what is not read: its routes."""
    found: dict[str, list[int]] = {}
    for i, route in enumerate(world.config.route):
        if route.is_stream:
            owners = {owner(world, h) for text in route.hosts if (h := names.host(text, wildcard=True))}
            for site in sorted(o for o in owners if o is not None):
                found.setdefault(site, []).append(i)
    return found


def protocol_of(world: World, site: str) -> Literal["http", "tcp"]:
    return "tcp" if site in streaming(world) else "http"

"""Sites whose TLS carries what is not read: those that own the names of routes with `protocol = "tcp"`. All of a site is one
or the other, since no client may choose by which it is read. Read next: `rules_streams.py`."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Literal

from everyhop.compile import names
from everyhop.compile.world import World


def owned(world: World) -> dict[str, str]:
    """Of each name or pattern of a site: the site."""
    return {own: site for site, hosts in world.site_hosts.items() for own in hosts}


def owner(owned: Mapping[str, str], host: str) -> str | None:
    """The site that ends the TLS of a name or pattern: the one that names it most exactly."""
    if host in owned:
        return owned[host]
    rest = host
    while rest:
        _, _, rest = rest.partition(".")
        if rest and (site := owned.get(f"*.{rest}")) is not None:
            return site
    return owned.get(names.EVERY)


def streaming(world: World) -> dict[str, list[int]]:
    """By the name of each site that carries what is not read: its routes. For all sites at once: it looks at every route."""
    known = owned(world)
    found: dict[str, list[int]] = {}
    for i, route in enumerate(world.config.route):
        if route.is_stream:
            owners = {owner(known, h) for text in route.hosts if (h := names.served(text))}
            for site in sorted(o for o in owners if o is not None):
                found.setdefault(site, []).append(i)
    return found


def protocol_of(carried: Container[str], site: str) -> Literal["http", "tcp"]:
    """`carried`: what [`streaming`] found."""
    return "tcp" if site in carried else "http"

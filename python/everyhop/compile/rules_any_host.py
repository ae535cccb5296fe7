"""A site that answers to any name: whoever reaches the port chooses what backends are told that they were asked for, unless only
clients that are known get so far. Read next: `names.EVERY`."""

from __future__ import annotations

from everyhop.compile import names
from everyhop.compile.keys import site_host
from everyhop.compile.streams import streaming
from everyhop.compile.world import World


def judge(world: World) -> None:
    carried = streaming(world)
    for i, site in enumerate(world.config.site):
        # Of what is not read no name reaches a backend.
        if names.EVERY not in world.site_hosts.get(site.name, []) or site.name in carried:
            continue
        if site.clients is None or site.clients.mode != "require":
            said = "asks clients for no certificate" if site.clients is None else "takes clients without one"
            world.warn(
                "site/any-host",
                site_host(world.config, i, names.EVERY),
                f"site {site.name!r} answers to every name, and {said}",
                'hosts = ["shop.example.com"]: those that are served there',
                'or let in whom you know: clients = { ca = "/etc/everyhop/clients-ca.pem" }',
            )

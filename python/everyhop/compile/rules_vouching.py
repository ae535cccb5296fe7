"""Rules about proxies in front that are believed for what they prove to be: somebody is named, and can prove it to one authority
alone. Networks are judged by `rules_names.py`."""

from __future__ import annotations

from everyhop.compile import names
from everyhop.compile.world import Key, World
from everyhop.model import Listener


def judge(world: World) -> None:
    for i, listener in enumerate(world.config.listener):
        trusts = listener.trusts
        if trusts is None:
            continue
        at: Key = ("listener", i, "trusted_proxies")
        if not trusts.networks and not trusts.clients:
            world.refuse(
                "listener/nothing-to-do",
                at,
                f"listener {listener.name!r} believes proxies and says nothing of whom",
                'trusted_proxies = { networks = ["10.0.0.0/24"] }',
                'or trusted_proxies = { clients = ["edge.internal"] }',
                "or remove trusted_proxies",
            )
        for j, text in enumerate(trusts.clients):
            try:
                names.client(text)
            except ValueError as why:
                world.refuse(
                    "route/client-name",
                    (*at, "clients", j),
                    f"listener {listener.name!r} believes {text!r}: {why}",
                    'name it as its certificate does: "edge.internal" or "spiffe://td/edge"',
                )
        if trusts.clients:
            proved(world, (*at, "clients"), listener)


def proved(world: World, at: Key, listener: Listener) -> None:
    """Each name stands for one alone: two authorities could certify it to two."""
    reached = [
        (i, site.clients)
        for i, site in enumerate(world.config.site)
        if site.listeners is None or listener.name in site.listeners
    ]
    asking = [(i, clients) for i, clients in reached if clients is not None]
    if listener.speaks != "tls" or not asking:
        what = (
            "nobody proves anything in the clear"
            if listener.speaks != "tls"
            else "no site there asks clients for a certificate"
        )
        world.refuse(
            "trust/unproven",
            at,
            f"listener {listener.name!r} believes who proves a name, and {what}",
            'give the site clients = { ca = "/etc/everyhop/internal-ca.pem" }',
            'or believe networks: trusted_proxies = { networks = ["10.0.0.0/24"] }',
        )
    elif len({clients.ca for _, clients in asking}) > 1:
        several = " and ".join(f"{clients.ca} ({world.config.site[i].name})" for i, clients in asking)
        world.refuse(
            "trust/unproven",
            at,
            f"listener {listener.name!r} believes who proves a name, and its sites take the word of different authorities on "
            f"that: {several}",
            "name them by certificates, or move one of the sites to a listener of its own: listeners = [...]",
            also=tuple(("site", i, "clients", "ca") for i, _ in asking),
        )

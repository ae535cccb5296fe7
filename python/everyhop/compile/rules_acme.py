"""Rules about certificates that authorities issue: that one can be asked for these names, that somebody agreed to its terms, and that a
challenge of it can be answered. Read next: `../admin/issuing.py`, which asks."""

from __future__ import annotations

from collections.abc import Mapping

from everyhop.compile import names
from everyhop.compile.passwords import read_password
from everyhop.compile.world import Key, World
from everyhop.identity import Unusable


def judge(world: World) -> None:
    given = world.config.acme
    sites = [(i, it) for i, it in enumerate(world.config.site) if it.is_by_acme]
    if not sites:
        for name in sorted(given.model_fields_set)[:1]:
            what, mend = "no site has its certificate by ACME", 'certs = "acme" of a [[site]]'
            world.warn("acme/unused", ("acme", name), what, mend, of_key=True)
        return
    # What it needs is read where there is a use for it: it takes a while.
    from everyhop.acme.names import refused

    public = is_public(world)
    first: Key = ("site", sites[0][0], "certs")
    if not given.terms_agreed:
        what = f"site {sites[0][1].name!r} has its certificate by ACME, and nobody agreed to the terms of {given.authority[0]}"
        world.refuse("acme/terms", first, what, "read them, and say so: [acme] terms_agreed = true")
    dns(world)
    kinds = answered(world)
    if not kinds:
        what = f"names are proved by {' and '.join(given.challenges)} alone, and nothing here answers that"
        http = 'http-01: a [[listener]] with bind = ["[::]:80"] and speaks = "http"'
        world.refuse(
            "acme/challenge", ("acme", "challenges"), what, http, "dns-01: dns_update, or dns_hook", "or tls-alpn-01"
        )
    for i, site in sites:
        if site.hosts is None:
            what = f"site {site.name!r} has its certificate by ACME, and names no hosts"
            world.refuse("acme/names", ("site", i, "certs"), what, 'hosts = ["shop.example.com"]: those are asked for')
        for name, why in refused(world.site_hosts.get(site.name, []), kinds or given.challenges, public=public):
            key = place(world, i, name)
            what = f"site {site.name!r} cannot have a certificate for {name} by ACME: {why}"
            world.refuse("acme/names", key, what, "name what an authority certifies, or have it certified elsewhere")


def is_public(world: World) -> bool:
    """Some authority of those is bound by the rules of browsers."""
    from everyhop.acme import authority

    public = False
    for j, text in enumerate(world.config.acme.authority):
        try:
            public |= authority(text).public
        except ValueError as e:
            world.refuse("acme/authority", ("acme", "authority", j), f"authority {e}", 'authority = ["letsencrypt"]')
    return public


def answered(world: World) -> list[str]:
    """By which challenges names can be proved here."""
    given = world.config.acme
    there = {"tls-alpn-01"} | ({"http-01"} if any(it.speaks == "http" for it in world.config.listener) else set())
    there |= {"dns-01"} if given.dns_update or given.dns_hook else set()
    return [kind for kind in given.challenges if kind in there]


def dns(world: World) -> None:
    """How a zone is changed: in one way, at an address, by a key that nobody else reads."""
    update, hook = world.config.acme.dns_update, world.config.acme.dns_hook
    if update is not None and hook is not None:
        what = "names are proved by updates of the zone and by a program that changes it"
        world.refuse("acme/dns", ("acme", "dns_hook"), what, "keep one of them", also=(("acme", "dns_update"),))
    if hook is not None and not hook[0].startswith("/"):
        what = f"the program that changes the zone is {hook[0]!r}, which is no path from the root"
        world.refuse("acme/dns", ("acme", "dns_hook", 0), what, 'dns_hook = ["/usr/local/bin/zone"]')
    if update is None:
        return
    key: Key = ("acme", "dns_update")
    if names.dns_server(update.server) is None:
        what = f"the server that takes updates is {update.server!r}, which is no IP address, perhaps with a port"
        world.refuse("acme/dns", (*key, "server"), what, 'server = "10.0.0.53"')
    for name, text in (("key", update.key), ("zone", update.zone)):
        if text is not None and names.host(text.rstrip(".")) is None:
            what = f"{text!r} is no name of the DNS"
            world.refuse("acme/dns", (*key, name), what, f'{name} = "example.com"')


def read(world: World, environ: Mapping[str, str]) -> None:
    """The secret by which updates are signed."""
    update = world.config.acme.dns_update
    if update is None or not update.secret.startswith(("file:", "env:", "cred:")):
        return  # refused elsewhere, without the secret in the message
    try:
        read_password(update.secret, world.base, environ)
    except Unusable as e:
        world.refuse(
            "acme/dns",
            ("acme", "dns_update", "secret"),
            f"the key of updates: {e.what}",
            e.mend.replace("the password", "the secret"),
        )


def place(world: World, i: int, name: str) -> Key:
    given = world.config.site[i].hosts or []
    return ("site", i, "hosts", given.index(name)) if name in given else ("site", i, "hosts")

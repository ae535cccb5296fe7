"""Rules about certificates that authorities issue: that one can be asked for these names, that somebody agreed to its terms, and that a
challenge of it can be answered. Read next: `../admin/issuing.py`, which asks."""

from __future__ import annotations

from collections.abc import Mapping

from everyhop.compile import names
from everyhop.compile.key_servers import url
from everyhop.compile.passwords import read_password, read_token
from everyhop.compile.world import Key, World
from everyhop.identity import Unusable
from everyhop.model.acme import DnsHttp

EXAMPLE = 'url = "https://dns.example.com/acme"'
WAYS = {
    "dns_update": "updates of the zone",
    "dns_hook": "a program that changes it",
    "dns_http": "a service that changes it",
}


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
            "acme/challenge",
            ("acme", "challenges"),
            what,
            http,
            "dns-01: dns_update, dns_hook or dns_http",
            "or tls-alpn-01",
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
    there |= {"dns-01"} if given.dns_update or given.dns_hook or given.dns_http else set()
    return [kind for kind in given.challenges if kind in there]


def dns(world: World) -> None:
    """How a zone is changed: in one way, at an address, by a key that nobody else reads."""
    given = world.config.acme
    update, hook = given.dns_update, given.dns_hook
    ways = [it for it in WAYS if getattr(given, it) is not None]
    if len(ways) > 1:
        what = f"names are proved by {' and by '.join(WAYS[it] for it in ways)}"
        also = tuple(("acme", it) for it in ways if it != ways[-1])
        world.refuse("acme/dns", ("acme", ways[-1]), what, "keep one of them", also=also)
    if given.dns_http is not None:
        asked(world, given.dns_http)
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


def asked(world: World, it: DnsHttp) -> None:
    """Who is asked to change a zone can have certificates for its names: it is nobody that was not verified."""
    key: Key = ("acme", "dns_http", "url")
    found = url(it.url)
    if found is None or "?" in it.url:
        # Who stands before an @ may have a password there, and what follows a ? may be one.
        secret = any(c in it.url for c in "@?#")
        shown = "a URL with a user, a query or a fragment" if secret else repr(it.url)
        what = f"the zone is changed by {shown}, which is no URL that can be asked"
        world.refuse(
            "acme/dns", key, what, EXAMPLE, 'with token = "file:/etc/everyhop/dns.token", if it wants a secret'
        )
    elif not found.secure:
        at = names.address(found.at)
        if at is None or not at.is_literal_loopback:
            what = f"the zone is changed by {found.at}, asked in the clear: whoever is between could prove our names"
            world.refuse("acme/dns", key, what, f'url = "https://{found.authority}{found.path}"')
        elif it.ca is not None:
            what = f"{found.at} is asked in the clear on this host, and ca has no effect there"
            world.refuse("acme/dns", ("acme", "dns_http", "ca"), what, "remove ca", EXAMPLE, of_key=True)


def read(world: World, environ: Mapping[str, str]) -> None:
    """The secrets by which a zone is changed, and the roots of who changes it."""
    if (it := world.config.acme.dns_http) is not None:
        read_of_service(world, it, environ)
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


def read_of_service(world: World, it: DnsHttp, environ: Mapping[str, str]) -> None:
    if it.token is not None and it.token.startswith(("file:", "env:", "cred:")):
        try:
            read_token(it.token, world.base, environ)
        except Unusable as e:
            world.refuse("acme/dns", ("acme", "dns_http", "token"), f"the token: {e.what}", e.mend)
    if it.ca is not None and it.url.startswith("https://"):
        try:
            world.readings.roots(it.ca, world.base)
        except Unusable as e:
            world.refuse(e.slug, ("acme", "dns_http", "ca"), e.what, e.mend)


def place(world: World, i: int, name: str) -> Key:
    given = world.config.site[i].hosts or []
    return ("site", i, "hosts", given.index(name)) if name in given else ("site", i, "hosts")

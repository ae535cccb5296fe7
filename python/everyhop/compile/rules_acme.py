"""Rules about certificates that authorities issue: that one can be asked for these names, that somebody agreed to its terms, and that a
challenge of it can be answered. Read next: `../admin/issuing.py`, which asks."""

from __future__ import annotations

from everyhop.compile.world import Key, World


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
    kinds = answered(world)
    if not kinds:
        what = "names are proved by http-01 alone, and no listener speaks plain HTTP"
        mend = 'let one: [[listener]] with bind = ["[::]:80"] and speaks = "http"'
        world.refuse("acme/challenge", ("acme", "challenges"), what, mend, 'or prove them by TLS: "tls-alpn-01"')
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
    in_the_clear = any(it.speaks == "http" for it in world.config.listener)
    return [kind for kind in world.config.acme.challenges if kind != "http-01" or in_the_clear]


def place(world: World, i: int, name: str) -> Key:
    given = world.config.site[i].hosts or []
    return ("site", i, "hosts", given.index(name)) if name in given else ("site", i, "hosts")

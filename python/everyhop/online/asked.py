"""The findings of `check --online`: hints, and of CAA a refusal, since an order would fail. Never asks the sites or their clients anything.

Names that nobody looks for in the DNS are passed over: addresses, wildcards, and `*`. Read next: `let.py`.
"""

from __future__ import annotations

import datetime as dt

from everyhop.acme.names import is_address
from everyhop.compile import Compiled, names
from everyhop.compile.rules_acme import place
from everyhop.compile.streams import owned, owner, streaming
from everyhop.compile.world import World
from everyhop.online import lookup
from everyhop.online.let import let
from everyhop.online.together import together
from everyhop.refusals import Finding

HSTS = "strict-transport-security"
HSTS_S = 63_072_000
"""Two years: Mozilla's guidelines."""


def asked(compiled: Compiled, now: dt.datetime) -> list[Finding]:
    """What is found. Waits for the DNS, and for the directory of an authority that has no word."""
    world = World(compiled.document, compiled.config, now, "close")
    world.site_hosts = {it.name: it.hosts for it in compiled.plan.sites}
    resolved(world)
    let(world)
    hsts(world)
    return world.findings


def resolved(world: World) -> None:
    """Names of sites that have no address."""
    looked_for = {
        name: (i, site.name)
        for i, site in enumerate(world.config.site)
        for name in world.site_hosts.get(site.name, [])
        if name != names.EVERY and not name.startswith("*.") and not is_address(name)
    }
    answers = together(lookup.addresses(world.config.dns.servers), list(looked_for))
    for name, answer in answers.items():
        if isinstance(answer, OSError):
            i, site = looked_for[name]
            what = f"site {site!r} has {name}, which has no address here: {answer.strerror or answer}"
            mends = ["have the zone lead it to this edge", "or remove it from hosts"]
            world.find("note", "site/unresolved", place(world, i, name), what, *mends, mark=name)


def hsts(world: World) -> None:
    """Sites that answer HTTP and have some route that says no Strict-Transport-Security, nor says the site."""
    carried, known = streaming(world), owned(world)
    by_tls = {it.name for it in world.config.listener if it.speaks == "tls"}
    silent: dict[str, list[str]] = {}
    for route in world.config.route:
        # In the clear it is never said (RFC 6797 §7.2).
        if route.tls == "passthrough" or not by_tls & {*(route.listeners or by_tls)} or says_hsts(route.response):
            continue
        owners = {owner(known, host) for text in route.hosts if (host := names.served(text))}
        for name in sorted(it for it in owners if it is not None):
            silent.setdefault(name, []).append(route.name)
    for i, site in enumerate(world.config.site):
        routes = silent.get(site.name, [])
        if site.hsts is None and site.name not in carried and routes:
            which = f"its route {routes[0]!r}" + (f" and {len(routes) - 1} more" if len(routes) > 1 else "")
            what = f"site {site.name!r} says no Strict-Transport-Security, nor does {which}"
            mend = f"hsts = {{ max_age_s = {HSTS_S} }}, which browsers hold to for as long: begin with a day, 86400"
            world.find("note", "site/no-hsts", ("site", i, "name"), what, mend, mark=site.name)


def says_hsts(edits: object) -> bool:
    given = {**getattr(edits, "set", {}), **getattr(edits, "add", {})}
    return any(name.lower() == HSTS for name in given)

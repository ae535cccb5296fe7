"""The findings of `check --online`: hints, and of CAA a refusal, since an order would fail. Never asks the sites or their clients anything.

Names that nobody looks for in the DNS are passed over: addresses, wildcards, and `*`. Read next: `caa.py`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from everyhop.acme import Authority, Stopped, authority
from everyhop.acme.directory import KNOWN_CAA, fetched
from everyhop.acme.names import is_address
from everyhop.acme.network import Network
from everyhop.compile import Compiled, names
from everyhop.compile.rules_acme import answered, place
from everyhop.compile.streams import owned, owner, streaming
from everyhop.compile.world import World
from everyhop.online import lookup
from everyhop.online.caa import Verdict, judged
from everyhop.refusals import Finding

TOGETHER = 16
"""Questions under way at once."""
HSTS = "strict-transport-security"
HSTS_S = 63_072_000
"""Two years: Mozilla's guidelines."""
T = TypeVar("T")


def asked(compiled: Compiled, now: dt.datetime) -> list[Finding]:
    """What is found. Waits for the DNS, and for the directory of an authority that has no word."""
    world = World(compiled.document, compiled.config, now, "close")
    world.site_hosts = {it.name: it.hosts for it in compiled.plan.sites}
    resolved(world)
    let(world)
    hsts(world)
    return world.findings


def together(ask: Callable[[str], T], of: Sequence[str]) -> dict[str, T | OSError]:
    def one(name: str) -> T | OSError:
        try:
            return ask(name)
        except OSError as e:
            return e

    with ThreadPoolExecutor(TOGETHER) as pool:
        return dict(zip(of, pool.map(one, of), strict=True))


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


def let(world: World) -> None:
    """Whether the authority that is asked first may issue, for each name of each site that has its certificate by ACME."""
    sites = [(i, it) for i, it in enumerate(world.config.site) if it.is_by_acme]
    if not sites:
        return
    who = authority(
        world.config.acme.authority[0], None if world.config.acme.ca is None else world.base / world.config.acme.ca
    )
    known_as, why = identities(who)
    kinds = answered(world)
    looked_for = {name: i for i, site in sites for name in world.site_hosts.get(site.name, [])}
    try:
        ask = lookup.records(world.config.dns.servers)
        answers = together(lambda name: judged(name, known_as, kinds_of(name, kinds), ask), list(looked_for))
    except OSError as e:
        answers = dict.fromkeys(looked_for, e)
    for name, answer in answers.items():
        key = place(world, looked_for[name], name)
        site = world.config.site[looked_for[name]].name
        tell(world, key, site, name, who, answer, known_as, why)


def kinds_of(name: str, kinds: Sequence[str]) -> list[str]:
    """A wildcard is proved in the DNS alone (RFC 8555 §7.1.3)."""
    return [it for it in kinds if it == "dns-01" or not name.startswith("*.")]


def tell(
    world: World,
    key: tuple[str | int, ...],
    site: str,
    name: str,
    who: Authority,
    answer: Verdict | OSError,
    known_as: Sequence[str],
    why: str,
) -> None:
    asks = f"site {site!r} asks {who.name} for {name}"
    if isinstance(answer, OSError):
        what = f"{asks}, and whether the DNS lets it issue is not to be had here: {answer.strerror or answer}"
        mend = "have the zone's servers answer for CAA: an authority that gets no answer issues nothing"
        world.find("note", "acme/caa", key, what, mend, mark=name)
    elif answer.says == "may not" and not known_as:
        what = f"{asks}, and the records of CAA at {answer.at} {answer.why}: {why}"
        world.find("note", "acme/caa", key, what, "ask the authority by which name CAA lets it issue", mark=name)
    elif answer.says == "may not":
        tag = "issuewild" if name.startswith("*.") else "issue"
        what = f"{asks}, and the records of CAA at {answer.at} {answer.why}"
        add = f'let it, in the zone: {answer.at}. CAA 0 {tag} "{known_as[0]}"'
        world.find("refused", "acme/caa", key, what, add, "or ask one that may: [acme] authority", mark=name)
    elif answer.says == "perhaps":
        what = f"{asks}, and the records of CAA at {answer.at} {answer.why}"
        mend = f"see that it is the account that is kept in {world.config.acme.state}, or take accounturi out of the record"
        world.find("note", "acme/caa", key, what, mend, mark=name)


def identities(who: Authority) -> tuple[tuple[str, ...], str]:
    """By which names CAA lets it issue; or none, and why they are not known."""
    if who.name in KNOWN_CAA:
        return KNOWN_CAA[who.name], ""
    network = Network(who.name, who.roots())
    try:
        found = fetched(who, network).caa
    except Stopped as e:
        return (), f"whether one of those is {who.name} is not known: {e}"
    finally:
        network.close()
    return found, f"whether one of those is {who.name} is not known, since its directory does not say (caaIdentities)"


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

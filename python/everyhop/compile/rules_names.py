"""Rules about names, references, secrets, listeners and sites."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from everyhop.compile import coming, names, rules_networks
from everyhop.compile.keys import site_host
from everyhop.compile.world import Key, World
from everyhop.identity.tokens import in_token
from everyhop.model import CaIdentity, FileIdentity


def judge(world: World) -> None:
    unique(world)
    secrets(world)
    listeners(world)
    sites(world)


def unique(world: World) -> None:
    config = world.config
    groups: list[tuple[str, list[str]]] = [
        ("listener", [x.name for x in config.listener]),
        ("site", [x.name for x in config.site]),
        ("identity", [x.name for x in config.identity]),
        ("collector", [x.name for x in config.collector]),
        ("issuer", [x.name for x in config.issuer]),
        ("store", [x.name for x in config.store]),
        ("limit", [x.name for x in config.limit]),
        ("authorizer", [x.name for x in config.authorizer]),
        ("waf", [x.name for x in config.waf]),
        ("route", [x.name for x in config.route]),
    ]
    for kind, given in groups:
        first: dict[str, int] = {}
        for index, name in enumerate(given):
            key: Key = (kind, index, "name")
            if not name or len(name) > 128 or not name.isprintable():
                world.refuse(
                    "config/wrong-value",
                    key,
                    f"{kind} {index + 1} has the name {name!r}",
                    "use a short, printable name",
                )
            if name in first:
                also: tuple[Key, ...] = ((kind, first[name], "name"),)
                world.refuse(
                    "config/duplicate-name",
                    key,
                    f"two of [[{kind}]] are named {name!r}",
                    "rename one of them",
                    also=also,
                )
            first.setdefault(name, index)


EXAMPLES = {"key": "key.pem", "token": "token", "secret": "secret"}
"""Of files, by the setting that names one."""


def secrets(world: World) -> None:
    given: list[tuple[Key, str]] = []
    for i, site in enumerate(world.config.site):
        given += [(("site", i, "certs", j, "key"), pair.key) for j, pair in enumerate(site.pairs)]
    for i, identity in enumerate(world.config.identity):
        if isinstance(identity, FileIdentity):
            given.append((("identity", i, "key"), identity.key))
        elif isinstance(identity, CaIdentity) and identity.token is not None:
            given.append((("identity", i, "token"), identity.token))
    if (update := world.config.acme.dns_update) is not None:
        given.append((("acme", "dns_update", "secret"), update.secret))
    if (asked := world.config.acme.dns_http) is not None and asked.token is not None:
        given.append((("acme", "dns_http", "token"), asked.token))
    for key, text in given:
        if in_token(text) and key[-1] == "key":
            continue  # judged by rules_pkcs11.py
        if not text.startswith(("file:", "env:", "cred:")):
            of = str(key[-1])
            # What is not plainly a file's name may be the secret itself, and is not said again.
            named = of == "key" and text.endswith((".pem", ".key")) and text.isprintable()
            world.refuse(
                "secret/inline",
                key,
                "a key's PEM stands in the file" if "-----BEGIN" in text else f"a {of} is not a reference",
                f'{of} = "file:{text if named else "/path/to/" + EXAMPLES[of]}"',
                f'or {of} = "cred:NAME" with systemd',
            )


def listeners(world: World) -> None:
    bound: dict[str, Key] = {}
    for i, listener in enumerate(world.config.listener):
        for j, text in enumerate(listener.bind):
            key: Key = ("listener", i, "bind", j)
            at = names.bind(text)
            if at is None:
                world.refuse(
                    "listener/bind",
                    key,
                    f"listener {listener.name!r} binds {text!r}, which is no address{because(text)}",
                    'write "[::]:443" or "127.0.0.1:8443"',
                )
            elif at in bound:
                world.refuse("listener/bind-twice", key, f"{at} is bound twice", "keep one of them", also=(bound[at],))
            else:
                bound[at] = key
        for field in ("no_sni", "unknown_sni"):
            answer = getattr(listener, field)
            passed = [r.name for r in world.config.route if r.tls == "passthrough"]
            if answer != "refuse" and answer not in [s.name for s in world.config.site] + passed:
                world.refuse(
                    "config/unknown-name",
                    ("listener", i, field),
                    f"listener {listener.name!r} answers with {answer!r}, which is no site and no passthrough route",
                    "use \"refuse\", a site's name or a passthrough route's name",
                )
        inside: Key = () if isinstance(listener.trusted_proxies, list) else ("networks",)
        where: Key
        for where, believed in (
            (("accept_proxy",), listener.accept_proxy),
            (("trusted_proxies", *inside), listener.trusts.networks if listener.trusts else []),
        ):
            for j, text in enumerate(believed):
                trusted(world, ("listener", i, *where, j), listener.name, text)
    for j, text in enumerate(world.config.dns.servers):
        if names.dns_server(text) is None:
            what = f"[dns] asks {text!r}, which is no IP address"
            world.refuse(
                "config/wrong-value",
                ("dns", "servers", j),
                what,
                'write "10.0.0.53", "[2001:db8::53]:53" or "127.0.0.1:5353"',
            )
    if world.config.status.bind is not None and names.bind(world.config.status.bind) is None:
        world.refuse(
            "listener/bind",
            ("status", "bind"),
            f"[status] binds {world.config.status.bind!r}, which is no address{because(world.config.status.bind)}",
            'write "127.0.0.1:9180"',
        )


def because(text: str) -> str:
    why = names.oddity(text)
    return f": {why}" if why else ""


PRIVATE = [
    ipaddress.ip_network(n)
    for n in (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "100.64.0.0/10",
        "fc00::/7",
        "fe80::/10",
        "::1/128",
    )
]


def trusted(world: World, key: Key, listener: str, text: str) -> None:
    network = rules_networks.one(world, key, text, f"listener {listener!r} believes {text!r}")
    if network is None:
        return
    shortest = 8 if network.version == 4 else 16
    parts = (p for p in PRIVATE if p.version == network.version and network != p)
    inside = next((p for p in parts if network.supernet_of(p)), None)  # type: ignore[arg-type]
    if network.prefixlen < shortest and network not in PRIVATE:
        world.refuse(
            "trust/too-wide",
            key,
            f"{text} is {counted(network)} addresses",
            f"name the proxies themselves, or networks no wider than /{shortest} of IPv{network.version}",
        )
    elif inside is not None:
        world.refuse(
            "trust/too-wide",
            key,
            f"{text} holds private ({inside}) and public addresses",
            "name the proxies themselves",
        )


def counted(network: names.Network) -> str:
    """How many addresses, as a person can read it."""
    bits = network.max_prefixlen - network.prefixlen
    return f"{network.num_addresses:,}" if bits <= 32 else f"2^{bits}"


def sites(world: World) -> None:
    owner: dict[str, int] = {}
    for i, site in enumerate(world.config.site):
        certified = world.certified.get(i)
        hosts: list[str] = []
        for j, text in enumerate(site.hosts or []):
            found = names.served(text)
            if found is None:
                world.refuse(
                    "route/host",
                    ("site", i, "hosts", j),
                    f"site {site.name!r} names {text!r}, which is no host name",
                    names.host_mend(text),
                )
            else:
                hosts.append(found)
        if site.hosts is None and certified is not None:
            hosts = [name for name in certified if names.host(name, wildcard=True)]
            if not hosts:
                world.refuse(
                    "certificate/host-not-covered",
                    ("site", i, "certs", 0, "chain"),
                    f"the certificate of site {site.name!r} names no host",
                    "write hosts = [...], or use a certificate with DNS names",
                )
        world.site_hosts[site.name] = hosts
        for name in hosts:
            if name in owner:
                world.refuse(
                    "site/host-twice",
                    site_host(world.config, i, name),
                    f"{name} belongs to site {world.config.site[owner[name]].name!r} and to {site.name!r}",
                    "keep it in one of them",
                    also=(site_host(world.config, owner[name], name),),
                )
            owner.setdefault(name, i)
        if site.hosts is not None:
            covered(world, i, hosts)


MOST_NAMES = 20
"""Of a certificate that get into a sentence."""


def carried(found: tuple[str, ...]) -> str:
    more = f" and {len(found) - MOST_NAMES} more" if len(found) > MOST_NAMES else ""
    return ", ".join(found[:MOST_NAMES]) + more or "no name"


def covered(world: World, i: int, hosts: Iterable[str]) -> None:
    site = world.config.site[i]
    given = [(pair.chain, world.pairs.get(("site", i, "certs", j))) for j, pair in enumerate(site.pairs)]
    if site.identity is not None:
        given.append((f"the certificate of identity {site.identity!r}", coming.of_site(world, i)))
    for called, read in given:
        if read is None:
            continue
        for h, name in enumerate(hosts):
            # No certificate is for everything: clients of such a site know it by a name that is in this one.
            if name != names.EVERY and not any(names.covers(own, name) for own in read.names):
                world.refuse(
                    "certificate/host-not-covered",
                    ("site", i, "hosts", h),
                    f"{called} does not carry {name} (it carries {carried(read.names)})",
                    f"get a certificate for {name}, or take it out of site {site.name!r}",
                )

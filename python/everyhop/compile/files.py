"""Reads the certificates, keys, roots and pages that a configuration names: the only part of compiling that touches files."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Mapping
from typing import Literal

from everyhop import identity
from everyhop.compile import coming, hop_files, rules_acme, rules_log, rules_pkcs11, rules_waf
from everyhop.compile.key_sets import KeySet, read_keys
from everyhop.compile.kinds_of_file import is_utf8, kind_of
from everyhop.compile.lists import CLIENTS, lists, servers
from everyhop.compile.pages import read_answer, read_html
from everyhop.compile.passwords import read_password
from everyhop.compile.ticket_keys import read_ticket_key, sources
from everyhop.compile.users import Unfit, Wrong, read_users
from everyhop.compile.world import Key, World, soon
from everyhop.identity import SYSTEM, Pair, Role, Unusable, doubts
from everyhop.identity.tokens import SCHEME
from everyhop.model import CaIdentity, ComingIdentity, Issuer
from everyhop.screen import ahead
from everyhop.source import Place


def read_names(world: World) -> None:
    """Only what a plan itself holds of files: the names of sites that take their hosts from a certificate, and of users."""
    for i, site in enumerate(world.config.site):
        if site.hosts is None and site.pairs:
            with contextlib.suppress(Unusable):
                world.certified[i] = identity.read_names(site.pairs[0].chain, world.base)
    for route in world.config.route:
        if route.basic is not None:
            with contextlib.suppress(Unusable, Unfit):
                world.users[route.basic.file] = read_users(route.basic.file, world.base)


def read_files(world: World, environ: Mapping[str, str]) -> None:
    config = world.config
    rules_log.openable(world)
    for i, site in enumerate(config.site):
        for j, pair in enumerate(site.pairs):
            found = one(world, ("site", i, "certs", j), pair.chain, pair.key, f"site {site.name!r}", environ)
            if found and j == 0:
                world.certified[i] = found.names
        if site.is_by_acme:
            by_acme(world, i, environ)
        if site.clients and site.clients.ca == SYSTEM:
            world.refuse(
                "site/clients-of-anybody",
                ("site", i, "clients", "ca"),
                f"site {site.name!r} takes any client with a public certificate",
                'name the authority that certifies your clients: ca = "/etc/everyhop/clients-ca.pem"',
            )
        elif site.clients:
            roots(world, ("site", i, "clients", "ca"), site.clients.ca)
            if (label := site.clients.crl) is not None:
                key = ("site", i, "clients", "crl")
                lists(world, key, label, site.clients.ca, site.clients.stale_crl, CLIENTS)
    for i, it in enumerate(config.identity):
        if not isinstance(it, ComingIdentity) or coming.is_there(world, i, it, environ):
            one(world, ("identity", i), it.chain, it.key, f"identity {it.name!r}", environ)
    hop_files.read(world)
    servers(world)
    answers(world)
    errors(world)
    key_sets(world)
    users(world)
    passwords(world, environ)
    ticket_keys(world, environ)
    rules_waf.read(world)
    rules_acme.read(world, environ)
    chains(world)


def answers(world: World) -> None:
    for i, route in enumerate(world.config.route):
        if route.answer is not None and (label := route.answer.file) is not None:
            says_itself = "content-type" in {name.lower() for name in route.answer.headers}
            is_text = not says_itself and is_utf8(kind_of(label))
            try:
                world.pages[label] = read_answer(label, world.base, world.pages.get(label), is_text=is_text)
            except Unusable as e:
                world.refuse(e.slug, ("route", i, "answer", "file"), f"route {route.name!r}: {e.what}", e.mend)


def key_sets(world: World) -> None:
    for i, issuer in enumerate(world.config.issuer):
        label, key = issuer.keys.file, ("issuer", i, "keys", "file")
        if label is None or label.startswith(("http://", "https://")):
            continue  # fetched while it runs, or refused elsewhere
        try:
            found = world.key_sets[label] = world.key_sets.get(label) or read_keys(label, world.base)
        except Unusable as e:
            world.refuse(e.slug, key, f"issuer {issuer.name!r}: {e.what}", e.mend)
            continue
        if found.unused:
            what = f"issuer {issuer.name!r}: {world.base / label}: not used: {', '.join(found.unused)}"
            mend = "leave it: tokens that others sign by it are none of yours"
            world.find("note", "issuer/unused-key", key, what, mend, mark=found.sha256)
        verified(world, i, issuer, found)


def users(world: World) -> None:
    seen: set[str] = set()
    for i, route in enumerate(world.config.route):
        if route.basic is None or (label := route.basic.file) in seen:
            continue
        seen.add(label)
        key, whose = ("route", i, "basic", "file"), f"route {route.name!r}"
        try:
            found = world.users[label] = read_users(label, world.base)
        except Unusable as e:
            world.refuse(e.slug, key, f"{whose}: {e.what}", e.mend)
        except Unfit as e:
            for it in e.wrong:
                of_user(world, key, "refused", it)
        else:
            for it in found.cheap:
                of_user(world, key, "warning", it)


def of_user(world: World, key: Key, severity: Literal["refused", "warning"], it: Wrong) -> None:
    """At its line, of which nothing is shown: a password may stand there."""
    file = str(world.document.path.parent / str(world.value(key)))
    place = Place(file, it.line, it.column, it.width, shown=False)
    world.find(severity, it.slug, key, it.what, it.mend, mark=it.name or str(it.line), at=place)


def passwords(world: World, environ: Mapping[str, str]) -> None:
    for i, store in enumerate(world.config.store):
        given = store.password
        if given is None or not given.startswith(("file:", "env:", "cred:")):
            continue  # refused elsewhere, without the secret in the message
        try:
            world.passwords[i] = read_password(given, world.base, environ)
        except Unusable as e:
            world.refuse(e.slug, ("store", i, "password"), f"store {store.name!r}: {e.what}", e.mend)


def ticket_keys(world: World, environ: Mapping[str, str]) -> None:
    it = world.config.tickets
    given = sources(it) if it else []
    for i, source in enumerate(given):
        key: Key = ("tickets", "key", i)  # of one that stands by itself, where that stands
        if not source.startswith(("file:", "env:", "cred:")) or source in given[:i]:
            continue  # refused elsewhere, without the secret in the message
        try:
            read = read_ticket_key(source, world.base, environ)
        except Unusable as e:
            world.refuse(e.slug, key, e.what, e.mend)
            continue
        if any(read.fingerprint == other.fingerprint for other in world.ticket_keys):
            world.refuse(
                "tickets/key", key, f"{source} holds the secret that stands before it", "name each secret once"
            )
        world.ticket_keys.append(read)


def verified(world: World, i: int, issuer: Issuer, read: KeySet) -> None:
    """Some key verifies what the issuer signs by."""
    also: tuple[Key, ...] = (("issuer", i, "keys", "file"),)
    mend = f"algorithms = {sorted(read.algorithms)}".replace("'", '"')
    lacking = [j for j, algorithm in enumerate(issuer.algorithms) if algorithm not in read.algorithms]
    if len(lacking) == len(issuer.algorithms):
        what = f"no key of issuer {issuer.name!r} verifies what it signs by: every token would be refused"
        world.refuse("issuer/keys", ("issuer", i, "algorithms"), what, mend, also=also)
        return
    for j in lacking:
        what = f"issuer {issuer.name!r} signs by {issuer.algorithms[j]}, and none of its keys verifies that"
        world.warn("issuer/no-key-for-algorithm", ("issuer", i, "algorithms", j), what, mend, also=also)


def errors(world: World) -> None:
    for of, label in world.config.pages.items():
        try:
            world.pages[label] = read_html(label, world.base, world.pages.get(label))
        except Unusable as e:
            world.refuse(e.slug, ("pages", of), f"the page for {of}: {e.what}", e.mend)


def by_acme(world: World, i: int, environ: Mapping[str, str]) -> None:
    """What an authority issued, once it did: until then its files are looked for, and the site has none."""
    it = world.config.site[i]
    for j, path in enumerate(world.config.acme.issued(it.name)):
        if (world.base / path).exists():
            one(world, ("site", i, "certs", j), path, f"file:{path}", f"site {it.name!r}", environ)
        else:
            world.missing.add(world.base / path)


def one(world: World, key: Key, chain: str, secret: str, whose: str, environ: Mapping[str, str]) -> Pair | None:
    if not secret.startswith(("file:", "env:", "cred:", SCHEME)) or rules_pkcs11.unread(secret):
        return None  # refused elsewhere, without the secret in the message
    try:
        pair = world.readings.pair(chain, secret, world.base, environ)
    except Unusable as e:
        world.refuse(e.slug, (*key, e.of), f"{whose}: {e.what}", e.mend)
        return None
    world.pairs[key] = pair
    dates(world, key, pair, whose)
    return pair


def chains(world: World) -> None:
    """What is tolerated in a chain and will be missed or minded elsewhere; authorities of the whole file are known by now."""
    known = {c for it in world.roots.values() for c in it.certs}
    for key, pair in world.pairs.items():
        role: Role = "site" if key[0] == "site" else "identity"
        thing = world.config.site[int(key[1])] if role == "site" else world.config.identity[int(key[1])]
        file = next(iter(pair.files))
        for it in doubts(pair.certs, role, world.now, known):
            world.warn(it.slug, (*key, "chain"), f"{role} {thing.name!r}: {file}: {it.what}", it.mend, mark=it.what)


def dates(world: World, key: Key, pair: Pair, whose: str) -> None:
    if pair.not_before > world.now:
        world.refuse(
            "certificate/expired",
            (*key, "chain"),
            f"{whose}: the certificate is valid from {pair.not_before:%Y-%m-%d %H:%M} UTC",
            "check the clock, or use a certificate that is valid now",
        )
    left = pair.not_after - world.now
    if left <= dt.timedelta():
        world.past(
            "certificate/expired",
            (*key, "chain"),
            f"{whose}: the certificate ended on {pair.not_after:%Y-%m-%d}",
            "everyhop status tells why it was not renewed" + anew(world, int(key[1]))
            if is_renewed(world, key)
            else "renew it; the files are watched, no restart is needed",
            ended=pair.not_after,
        )
    elif (days := soon(left)) is not None and not is_renewed(world, key):
        world.warn(
            "certificate/expires-soon",
            (*key, "chain"),
            f"{whose}: the certificate ends on {pair.not_after:%Y-%m-%d}, {ahead(left)}",
            "renew it; the files are watched, no restart is needed",
            mark=f"{pair.not_after.isoformat()} {days}",
        )


def anew(world: World, i: int) -> str:
    return "; another token enrols it anew" if isinstance(world.config.identity[i], CaIdentity) else ""


def is_renewed(world: World, key: Key) -> bool:
    """By itself at half of its life: what is late is told by whoever does so."""
    return key[0] == "identity" and world.config.identity[int(key[1])].comes


def roots(world: World, key: Key, label: str) -> None:
    if label in world.roots or (path := coming.located(world, key, label, "roots")) is None:
        return
    try:
        found = world.roots[label] = world.readings.roots(path, world.base)
    except Unusable as e:
        world.refuse(e.slug, key, e.what, e.mend)
        return
    for what in found.weak:
        world.warn("ca/partly-unusable", key, what, "take it out of the file, or get it anew")

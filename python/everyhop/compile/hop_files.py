"""Reads what backends are verified by, and foresees what the engine would not believe of a backend's own certificate."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from everyhop.compile import coming, names
from everyhop.compile.key_servers import servers
from everyhop.compile.lists import BACKENDS, lists
from everyhop.compile.mirroring import hops_of, mirrored
from everyhop.compile.world import Key, World, soon
from everyhop.identity import Unusable, names_of
from everyhop.model import Authorizer, Config, Hop, Route, Side, Verify
from everyhop.screen import ahead

SERVERS = ExtendedKeyUsageOID.SERVER_AUTH


def read(world: World) -> None:
    for i, route in enumerate(world.config.route):
        if route.tls == "passthrough":
            continue
        for key, verify, wanted in verifications(i, route):
            if verify.ca is None:
                continue
            roots(world, (*key, "ca"), verify.ca)
            found = world.roots.get(verify.ca)
            # Beside a certificate that signs for itself a list is refused, whatever it holds.
            if verify.crl and not (found and found.own):
                lists(world, (*key, "crl"), verify.crl, verify.ca, verify.stale_crl, BACKENDS)
            own(world, key, f"route {route.name!r}", route.to, verify, wanted)
    for i, it in enumerate(world.config.collector):
        aside(world, ("collector", i, "verify"), f"collector {it.name!r}", it)
    for i, asked in enumerate(world.config.authorizer):
        aside(world, ("authorizer", i, "verify"), f"authorizer {asked.name!r}", asked)
    for i, store in enumerate(world.config.store):
        aside(world, ("store", i, "verify"), f"store {store.name!r}", store)
    for _, _, by in servers(world.config):
        aside(world, (*by.own, "verify"), by.called, by.server)


def aside(world: World, at: Key, thing: str, it: Side | Authorizer) -> None:
    """Of one that is beside the way of requests."""
    if (given := it.verify) is None or it.tls == "plaintext":
        return
    if given.ca is not None:
        roots(world, (*at, "ca"), given.ca)
        found = world.roots.get(given.ca)
        if given.crl and not (found and found.own):
            lists(world, (*at, "crl"), given.crl, given.ca, given.stale_crl, BACKENDS)
        wanted = {expected(given, text) for text in it.to}
        own(world, at, thing, it.to, given, wanted)


def verifications(i: int, route: Route) -> Iterator[tuple[Key, Verify, set[str]]]:
    """Each `verify` with its place and the names that it is to find, the mirror's like the route's."""
    own, mirror, as_route = route.verify, route.mirror, mirrored(route)
    lists: list[tuple[Key, Verify | None, Route, list[Hop]]] = [(("route", i), own, route, hops_of(route.to))]
    if mirror is not None and as_route is not None:
        lists.append((("route", i, "mirror"), mirror.verify or own, as_route, hops_of(mirror.to)))
    for at, verify, of, hops in lists:
        if verify:
            here = [b for b in hops if b.verify is None and (b.tls or of.tls) != "plaintext"]
            place: Key = ("route", i, "verify") if verify is own else (*at, "verify")
            yield place, verify, {expected(verify, b.at) for b in here}
        for j, entry in enumerate(hops):
            if entry.verify:
                yield (*at, "to", j, "verify"), entry.verify, {expected(entry.verify, entry.at)}


def verifying(config: Config) -> Iterator[tuple[Key, Verify]]:
    """Each `verify` there is, of hops and of those that are beside the way of requests."""
    for i, route in enumerate(config.route):
        for key, verify, _ in verifications(i, route):
            yield key, verify
    beside: list[tuple[Key, Side | Authorizer]] = [
        *((("collector", i), it) for i, it in enumerate(config.collector)),
        *((("authorizer", i), it) for i, it in enumerate(config.authorizer)),
        *((("store", i), it) for i, it in enumerate(config.store)),
    ]
    for at, it in beside:
        if it.verify is not None:
            yield (*at, "verify"), it.verify
    for _, _, by in servers(config):
        if by.server.verify is not None:
            yield (*by.own, "verify"), by.server.verify


def expected(verify: Verify, at: str) -> str:
    """The name; empty where there is none, which is refused elsewhere, or where an ID is expected instead."""
    if verify.spiffe is not None and verify.name is None:
        return ""
    address = names.address(at)
    return (verify.name or (address.name if address else None) or "").lower()


def roots(world: World, key: Key, label: str) -> None:
    if label in world.roots or (path := coming.located(world, key, label, "roots")) is None:
        return
    try:
        found = world.roots[label] = world.readings.roots(path, world.base, own=True)
    except Unusable as e:
        world.refuse(e.slug, key, e.what, e.mend)
        return
    for what in found.weak:
        world.warn("ca/partly-unusable", key, what, "take it out of the file, or get it anew")


def own(world: World, key: Key, thing: str, to: Sequence[str | Hop], verify: Verify, wanted: set[str]) -> None:
    """Certificates that can vouch for none but themselves: what a backend shows is one of them."""
    found = world.roots.get(verify.ca or "")
    if found is None or not found.own:
        return
    whose = f"{thing}: the certificate {found.own[0].subject.rfc4514_string()!r} of {verify.ca}"
    at: Key = (*key, "ca")
    if verify.crl:
        world.refuse(
            "hop/own-certificate",
            (*key, "crl"),
            f"{whose} signs for itself, and nobody could revoke it",
            "remove crl: it is taken back by removing it from the file",
            also=(at,),
        )
    for name in sorted(wanted - {""}):
        if not any(names.covers(n, name) for cert in found.own for n in names_of(cert)):
            carried = ", ".join(n for cert in found.own for n in names_of(cert)) or "no name"
            world.refuse(
                "hop/own-certificate",
                at,
                f"{whose} has to carry {name!r} and carries {carried} in its subjectAltName",
                *(f'name = "{n}"' for n in names_of(found.own[0])[:1]),
                f"or have it made anew: openssl req -x509 ... -addext subjectAltName={kind(name)}:{name}",
                f"or pin it, whatever its name: everyhop probe {hops_of(to)[0].at}",
            )
    if all(not for_servers(cert) for cert in found.own):
        mend = "have it made anew with extendedKeyUsage=serverAuth, or without one"
        world.refuse("hop/own-certificate", at, f"{whose} is not for servers (extendedKeyUsage)", mend)
    dates(world, at, whose, found.own)


def kind(name: str) -> str:
    """Of what a certificate is to carry: an address is none of its DNS names."""
    return "IP" if (at := names.address(f"{name}:1") or names.address(f"[{name}]:1")) and at.ip else "DNS"


def for_servers(cert: x509.Certificate) -> bool:
    try:
        return SERVERS in cert.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    except ValueError:
        return False  # what cannot be read says nothing for it, and the engine takes it no more than this does


def dates(world: World, key: Key, whose: str, certs: tuple[x509.Certificate, ...]) -> None:
    mend = "have it made anew at the backend and put it into the file; the files are watched, no restart is needed"
    begins, ends = min(c.not_valid_before_utc for c in certs), max(c.not_valid_after_utc for c in certs)
    left = ends - world.now
    if begins > world.now:
        what = f"{whose} is valid from {begins:%Y-%m-%d %H:%M} UTC"
        world.refuse("certificate/expired", key, what, "check the clock, or use a certificate that is valid now")
    elif left <= dt.timedelta():
        world.past("certificate/expired", key, f"{whose} ended on {ends:%Y-%m-%d}", mend, ended=ends)
    elif (days := soon(left)) is not None:
        what = f"{whose} ends on {ends:%Y-%m-%d}, {ahead(left)}"
        world.warn("certificate/expires-soon", key, what, mend, mark=f"{ends.isoformat()} {days}")

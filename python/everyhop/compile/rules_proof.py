"""Rules about what is proven on the way behind the edge: by which roots or pins a backend is known, by which name, whom we
show, and whether the backend must ask for it. Files are judged in `hop_files.py`."""

from __future__ import annotations

from everyhop.compile import names
from everyhop.compile.behind import Behind
from everyhop.compile.world import Key, World
from everyhop.model import Route, Verify


def verified(world: World, it: Behind, j: int, at: names.Address) -> None:
    """The `j`th of them, whose hop is TLS."""
    route, backend, key = it.route, it.hops[j], it.key(j)
    verify = backend.verify or route.verify
    here: Key = (*key, "verify") if backend.verify else it.said("verify") if route.verify else it.pattern(j)
    if verify is None or (verify.ca is None and verify.pin is None):
        world.refuse(
            "hop/no-roots",
            here,
            f"{it.called} verifies {at} against no roots",
            'verify = { ca = "/etc/everyhop/internal-ca.pem" }',
            'or verify = { ca = "system" } for a public certificate',
            f"or pin its certificate or key: everyhop probe {at}",
        )
    elif verify.pin is not None:
        pinned(world, here, it.called, verify)
    if verify is not None and verify.spiffe is not None:
        workload(world, here, it.called, verify)
    named(world, here, it.called, at, verify)
    presented(world, it, j, at)


def pinned(world: World, here: Key, called: str, verify: Verify) -> None:
    key: Key = (*here, "pin")
    if verify.ca is not None:
        world.refuse(
            "hop/pin",
            key,
            f"{called} verifies by roots and by pins",
            "keep one: ca, whose authority may renew the certificate, or pin, which is this certificate or key alone",
            also=((*here, "ca"),),
        )
    elif verify.crl is not None:
        world.refuse(
            "hop/pin",
            (*here, "crl"),
            f"{called} pins a certificate and has revocation lists for it",
            "remove crl: what is pinned is taken back by removing its pin",
            also=(key,),
        )
    written = [verify.pin] if isinstance(verify.pin, str) else verify.pin or []
    if not written:
        world.refuse("hop/pin", key, f"{called} pins nothing", 'pin = "sha256:..." of its certificate or public key')
    for n, text in enumerate(written):
        if names.fingerprint(text) is None:
            world.refuse(
                "hop/pin",
                key if isinstance(verify.pin, str) else (*key, n),
                f"{called} pins {text!r}, which is no SHA-256",
                "write sha256: and 64 hexadecimal digits, as openssl x509 -noout -fingerprint -sha256 and everyhop probe "
                "tell them",
            )


def workload(world: World, here: Key, called: str, verify: Verify) -> None:
    key: Key = (*here, "spiffe")
    if verify.pin is not None:
        world.refuse(
            "hop/spiffe-id",
            key,
            f"{called} verifies by a SPIFFE ID and by pins",
            "keep one: spiffe with ca, whose authority names workloads, or pin, which is one certificate or key alone",
            also=((*here, "pin"),),
        )
    if names.workload(verify.spiffe or "") is None:
        world.refuse(
            "hop/spiffe-id",
            key,
            f"{called} expects {verify.spiffe!r}, which is no SPIFFE ID",
            'spiffe = "spiffe://td/backend": a trust domain in lower case, and a path of letters, digits and . - _ between slashes',
            'or spiffe = "spiffe://td/*" for any workload of the trust domain',
        )


def named(world: World, here: Key, called: str, at: names.Address, verify: Verify | None) -> None:
    given = verify.name if verify else None
    name = given or at.name
    by = "pin" if verify is None or verify.spiffe is None else "ca = ..., spiffe"
    if name is None and (verify is None or (verify.pin is None and verify.spiffe is None)):
        world.refuse(
            "hop/no-name",
            here,
            f"{called} expects no name of {at}"
            + (", and what DNS answers says where it is, not who" if at.service else ""),
            'verify = { ca = ..., name = "api.internal" }: the name in the backend\'s certificate',
            *([f'or name = "{at.ip}", where its certificate carries that address (an IP SAN)'] if at.ip else []),
        )
    elif name is None and at.ip is None and at.service is None:
        world.refuse(
            "hop/no-name",
            here,
            f"{called} has no name to ask {at} for",
            f'verify = {{ {by} = ..., name = "api.internal" }}: the name in the backend\'s certificate',
        )
    elif name is not None and not is_name(name):
        world.refuse(
            "hop/no-name",
            (*here, "name"),
            f"{name!r} is no host name and no address",
            f'write it as it stands in the certificate: "{wire}"'
            if (wire := names.ascii_form(name))
            else "write the name in the backend's certificate, or the IP address in it",
        )


def is_name(text: str) -> bool:
    hosts = (names.host(text), names.address(f"{text}:1"), names.address(f"[{text}]:1"))
    return any(it is not None for it in hosts)


def presented(world: World, it: Behind, j: int, at: names.Address) -> None:
    route, backend, key = it.route, it.hops[j], it.key(j)
    tls = backend.tls or route.tls
    present = backend.present or route.present
    known = [identity.name for identity in world.config.identity]
    if tls == "mutual" and present is None:
        first = known[0] if known else "edge"
        world.refuse(
            "hop/no-identity",
            it.pattern(j),
            f"{it.called} is mutual and presents nothing to {at}",
            f'present = "{first}"' + ("" if known else " and an [[identity]] of that name"),
            'or tls = "reencrypt": encrypted, but the backend does not know that it is us',
        )
    elif present is not None and present not in known:
        world.refuse(
            "config/unknown-name",
            ((*key, "present") if backend.present else it.said("present")),
            f"{it.called} presents {present!r}, and there is no such [[identity]]",
            f"one of: {', '.join(known) or '(none)'}",
        )
    elif present is not None and tls == "reencrypt" and not any((b.tls or route.tls) == "mutual" for b in it.hops):
        world.refuse(
            "route/nothing-to-do",
            ((*key, "present") if backend.present else it.said("present")),
            f"{it.called} is reencrypt and presents {present!r}, which no backend is shown",
            'tls = "mutual" shows it',
            "or remove present",
        )


def asking(world: World, it: Behind, j: int, tls: str) -> None:
    """A backend's own word on whether it must ask for our certificate."""
    backend, key = it.hops[j], it.key(j)
    if backend.demand_asks is not None and tls != "mutual":
        world.refuse(
            "route/nothing-to-do",
            (*key, "demand_asks"),
            f"{it.called} says whether {backend.at} must ask for our certificate, and shows it none: its hop is {tls}",
            'tls = "mutual", with present = "NAME", shows it one',
            "or remove demand_asks",
            of_key=True,
        )


def exchanging(world: World, it: Behind, j: int, tls: str) -> None:
    """A word on the key exchange of a hop that has none: a backend's own, or the route's where no hop of it has one."""
    backend, key = it.hops[j], it.key(j)
    route_says = it.route.require_post_quantum and not any((b.tls or it.route.tls) != "plaintext" for b in it.hops)
    if tls == "plaintext" and (backend.require_post_quantum is not None or (route_says and j == 0)):
        own = backend.require_post_quantum is not None
        world.refuse(
            "route/nothing-to-do",
            (*key, "require_post_quantum") if own else it.said("require_post_quantum"),
            f"{it.called} speaks of the key exchange with {backend.at}, and there is none: its hop is plaintext",
            'encrypt the hop: tls = "reencrypt" or "mutual"',
            "or remove require_post_quantum",
            of_key=True,
        )


def asking_at_all(world: World, i: int, route: Route) -> None:
    """A route's word on whether its backends must ask for our certificate: it speaks of all of them."""
    if route.demand_asks is None:
        return
    key: Key = ("route", i, "demand_asks")
    if route.tls == "passthrough":
        world.refuse(
            "route/layer-7-on-passthrough",
            key,
            f"route {route.name!r} passes TLS through and says whether its backends must ask for our certificate",
            'tls = "mutual", with present = "NAME": then a second TLS session is ours',
            "or remove demand_asks, and let the backend demand the client's own certificate",
            of_key=True,
        )
    elif route.tls != "mutual":
        world.refuse(
            "route/nothing-to-do",
            key,
            f"route {route.name!r} says whether its backends must ask for our certificate, and shows them none: it is {route.tls}",
            'tls = "mutual", with present = "NAME", shows them one',
            'or say it of the backend that is mutual: to = [{ at = ..., tls = "mutual", demand_asks = true }]',
            "or remove demand_asks",
            of_key=True,
        )
    elif route.demand_asks is False and route.data == "major-incident":
        world.warn(
            "hop/asking-not-demanded",
            key,
            f"route {route.name!r} carries data whose leak would be a major incident, and sends it to backends that ask "
            "nobody for a certificate",
            "demand_asks = true, or remove it: true is the default for such data",
        )

"""Rules about whom a route serves: hosts, paths, what a passthrough route cannot do, names passed and terminated."""

from __future__ import annotations

import re
from collections import defaultdict

from everyhop.compile import names
from everyhop.compile.keys import route_host, route_method, site_host
from everyhop.compile.reach import named_by, share
from everyhop.compile.streams import owned
from everyhop.compile.world import Key, World
from everyhop.model import Route
from everyhop.trust import CAPABILITIES

COOKIE_VALUE = re.compile(r"[!#-+\--:<-\[\]-~]*")
"""RFC 6265 §4.1.1, without the quotes that some readers leave out."""


def judge(world: World) -> None:
    sited = {host: site for site, hosts in world.site_hosts.items() for host in hosts}
    wildcards = {host: site for host, site in sited.items() if host.startswith("*.")}
    passed: dict[str, list[int]] = defaultdict(list)
    ended: dict[str, list[int]] = defaultdict(list)
    for i, route in enumerate(world.config.route):
        form(world, i, route)
        for host in hosts_of(world, i, route):
            if route.tls == "passthrough":
                if (first := meeting(world, i, passed[host])) is not None:
                    world.refuse(
                        "route/tie",
                        route_host(world.config, i, host),
                        f"{host} is passed through by {world.config.route[first].name!r} and by {route.name!r}",
                        "keep it in one of them",
                        also=(route_host(world.config, first, host),),
                    )
                passed[host].append(i)
            else:
                ended[host].append(i)
    conflicts(world, passed, ended, sited, wildcards)


def meeting(world: World, i: int, others: list[int]) -> int | None:
    """The first of other routes of a name that is reached by a listener by which this one is, too; this one passes TLS through."""
    routes = world.config.route
    if not others or len(world.config.listener) < 2:
        return next(iter(others), None)
    own, known = routes[i].listeners, owned(world)
    return next((other for other in others if share(own, named_by(world, routes[other], known))), None)


def hosts_of(world: World, i: int, route: Route) -> list[str]:
    found = []
    for j, text in enumerate(route.hosts):
        host = names.served(text)
        key: Key = ("route", i, "host") if isinstance(route.host, str) else ("route", i, "host", j)
        if host == names.EVERY and route.tls == "passthrough":
            world.refuse(
                "route/host",
                key,
                f"route {route.name!r} passes TLS through and serves every name: whoever ends it has a certificate for some",
                "name those, or write unknown_sni of the [[listener]] for what names nobody here",
            )
        elif host is None:
            world.refuse(
                "route/host",
                key,
                f"route {route.name!r} serves {text!r}, which is no host name",
                names.host_mend(text),
            )
        else:
            found.append(host)
    return found


def form(world: World, i: int, route: Route) -> None:
    key: Key = ("route", i)
    if route.tls == "passthrough":
        for row in (c for c in CAPABILITIES.values() if route.tls not in c.patterns):
            for field in row.settings:
                # What it says of being asked is told in words of its own, and so is whom it allows: where they are is seen here, too.
                if field not in ("demand_asks", "allow") and getattr(route, field) not in (None, {}, 0):
                    world.refuse(
                        "route/layer-7-on-passthrough",
                        (*key, field),
                        f"route {route.name!r} passes TLS through and sets {field}: {row.reason}",
                        f"remove {field}: {row.instead}",
                        'or end TLS here: tls = "mutual"',
                        of_key=True,
                    )
        if route.names_clients:
            row = CAPABILITIES["client-certificate-at-edge"]
            world.refuse(
                "route/layer-7-on-passthrough",
                (*key, "allow", "clients"),
                f"route {route.name!r} passes TLS through and sets allow.clients: {row.reason}",
                f"remove clients: {row.instead}",
                'or end TLS here: tls = "mutual"',
            )
        for field, what in (
            ("answers", "how HTTP is read"),
            ("eject_on", "what of requests and answers ejects a backend"),
        ):
            if getattr(route, field) is not None:
                world.refuse(
                    "route/layer-7-on-passthrough",
                    (*key, field),
                    f"route {route.name!r} passes TLS through and sets {field}, which says {what}",
                    f"remove {field}: only where TLS ends is HTTP visible",
                    of_key=True,
                )
        for field in ("first_byte_s", "body_progress_s", "body_bytes", "answer_silence_s", "total_s"):
            if getattr(route.limits, field) is not None:
                world.refuse(
                    "route/layer-7-on-passthrough",
                    (*key, "limits", field),
                    f"route {route.name!r} passes TLS through and sets limits.{field}, which is of requests and answers",
                    f"remove {field}: a tunnel has connect_s and tunnel_idle_s",
                    of_key=True,
                )
    elif not route.is_answered:
        proxied = route.send_proxy != "off" and not route.is_stream
        for field, given in (("send_proxy", proxied), ("covers", bool(route.covers))):
            if given:
                world.refuse(
                    "route/nothing-to-do",
                    (*key, field),
                    f"route {route.name!r} ends TLS here and sets {field}, which is for passthrough"
                    + (', or for protocol = "tcp"' if field == "send_proxy" else ""),
                    f"remove {field}",
                    of_key=True,
                )
    if route.path is not None and route.path_exact is not None:
        world.refuse(
            "route/path",
            (*key, "path_exact"),
            f"route {route.name!r} has a path and a path_exact",
            "keep one of them",
            also=((*key, "path"),),
        )
    for field, path in (("path", route.path), ("path_exact", route.path_exact)):
        if path is not None and names.path(path) is None:
            world.refuse(
                "route/path",
                (*key, field),
                f"route {route.name!r} matches {path!r}, which is not in the one form that requests are compared in",
                "start with /, without . or .. or //, with upper-case percent digits and nothing encoded that need not be",
            )
    for j, text in enumerate((route.allow and route.allow.clients) or []):
        try:
            names.client(text)
        except ValueError as why:
            world.refuse(
                "route/client-name",
                (*key, "allow", "clients", j),
                f"route {route.name!r} allows {text!r}: {why}",
                'name it as its certificate does: "client.internal", "spiffe://td/name", "alice@example.com" or "sha256:..."',
            )
    for method in route.methods:
        if not names.TOKEN.match(method) or method != method.upper():
            world.refuse(
                "config/wrong-value",
                route_method(world.config, i, method),
                f"route {route.name!r} takes the method {method!r}, which no request can have",
                'write a name in capitals: "GET"',
            )
    for name, value in route.headers.items():
        if not names.TOKEN.match(name):
            world.refuse(
                "config/wrong-value",
                (*key, "headers", name),
                f"route {route.name!r} looks at the header {name!r}, which is no name of one (RFC 9110 §5.1)",
                'write a name without blanks and separators: "x-tenant"',
                of_key=True,
            )
        elif not names.is_heard(name):
            world.refuse(
                "route/nothing-to-do",
                (*key, "headers", name),
                f"route {route.name!r} looks at the header {name!r}, which is taken from every request before it is matched",
                'for the host write host = "..."'
                if name.lower() == "host"
                else "look at a field that the client may set",
                of_key=True,
            )
        elif value != value.strip(" \t") or any(c != "\t" and (ord(c) < 0x20 or c == "\x7f") for c in value):
            world.refuse(
                "config/wrong-value",
                (*key, "headers", name),
                f"route {route.name!r} wants {name} to be {value!r}, which no field's value can be (RFC 9110 §5.5)",
                "write it without white space around it, and without control characters",
            )
    cookies(world, key, route)


def cookies(world: World, key: Key, route: Route) -> None:
    """By which it is chosen."""
    for name, value in route.cookie.items():
        said = f"route {route.name!r} looks at the cookie {name!r}"
        at = (*key, "cookie", name)
        if not names.TOKEN.match(name):
            what = f"{said}, which is no name of one (RFC 6265 §4.1.1)"
            mend = 'write a name without blanks and separators: "canary"'
            world.refuse("config/wrong-value", at, what, mend, of_key=True)
        elif not COOKIE_VALUE.fullmatch(value):
            what = f"{said} for {value!r}, which no cookie's value can be (RFC 6265 §4.1.1)"
            mend = "write it without blanks, quotes, commas, semicolons and backslashes, as it is sent"
            world.refuse("config/wrong-value", at, what, mend)


def conflicts(
    world: World,
    passed: dict[str, list[int]],
    ended: dict[str, list[int]],
    sited: dict[str, str],
    wildcards: dict[str, str],
) -> None:
    sites = {site.name: i for i, site in enumerate(world.config.site)}
    for host, i in ((host, i) for host, all_of_it in passed.items() for i in all_of_it):
        route = world.config.route[i]
        near = {name for name, s in sites.items() if share(route.listeners, world.config.site[s].listeners)}
        if (first := meeting(world, i, ended.get(host, []))) is not None:
            other = world.config.route[first]
            world.refuse(
                "route/passed-and-terminated",
                route_host(world.config, i, host),
                f"{host} is passed through by {route.name!r} and terminated by {other.name!r}",
                "choose one of the two for this name",
                also=(route_host(world.config, first, host),),
            )
        elif sited.get(host) in near:
            world.refuse(
                "route/passed-and-terminated",
                route_host(world.config, i, host),
                f"{host} is passed through by {route.name!r} and belongs to site {sited[host]!r}",
                f"take it out of site {sited[host]!r}",
                also=(site_host(world.config, sites[sited[host]], host),),
            )
        for wildcard, site in wildcards.items():
            known = [names.host(c) for c in route.covers]
            if wildcard != host and names.covers(wildcard, host) and host not in known:
                world.warn(
                    "route/wildcard-covers-passthrough",
                    route_host(world.config, i, host),
                    f"{wildcard} of site {site!r} covers {host}, which route {route.name!r} passes through",
                    f'covers = ["{host}"]',
                    also=(site_host(world.config, sites[site], wildcard),),
                )

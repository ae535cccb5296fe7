"""Where in a configuration the very word stands that a finding speaks of: one host of several, one method, one backend's
address. It judges nothing."""

from __future__ import annotations

from everyhop.compile import names
from everyhop.model import Config

Key = tuple[str | int, ...]


def backend_at(config: Config, i: int, j: int) -> Key:
    """The address of a route's backend, in whichever form it is written."""
    entry = config.route[i].to[j]
    return ("route", i, "to", j) if isinstance(entry, str) else ("route", i, "to", j, "at")


def route_host(config: Config, i: int, host: str) -> Key:
    """A host of a route, given in its canonical form."""
    given = config.route[i].host
    if isinstance(given, str):
        return ("route", i, "host")
    at = next((j for j, text in enumerate(given) if names.served(text) == host), None)
    return ("route", i, "host") if at is None else ("route", i, "host", at)


def site_host(config: Config, i: int, host: str) -> Key:
    """A host of a site, given in its canonical form; where the site takes its names from its certificate, that one."""
    given = config.site[i].hosts
    if given is None:
        return ("site", i, "certs", 0, "chain") if config.site[i].pairs else ("site", i, "name")
    at = next((j for j, text in enumerate(given) if names.served(text) == host), None)
    return ("site", i, "hosts") if at is None else ("site", i, "hosts", at)


def route_method(config: Config, i: int, method: str) -> Key:
    given = config.route[i].method
    return (
        ("route", i, "method")
        if given is None or isinstance(given, str)
        else ("route", i, "method", given.index(method))
    )


def route_match(config: Config, i: int, host: str) -> Key:
    """What of a route decides which of a host's requests it takes: its path, else the host itself."""
    route = config.route[i]
    if route.path is not None:
        return ("route", i, "path")
    return ("route", i, "path_exact") if route.path_exact is not None else route_host(config, i, host)

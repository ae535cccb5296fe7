"""An origin as browsers write it (RFC 6454 §6.2): scheme, host and port, the port only where it is not the scheme's own.
Pure."""

from __future__ import annotations

import re

from everyhop.compile import names

ANYBODY = "*"
PORTS = {"http": 80, "https": 443}
FORM = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(\[[^\]/?#@]*\]|[^/?#@:]*)(?::([0-9]{1,5}))?\Z")
LOOPBACK = re.compile(r"(localhost|.+\.localhost|127\.[0-9.]+|\[::1\])\Z")


class NoOrigin(ValueError):
    """It is none, or none that may read answers."""

    def __init__(self, what: str, *mend: str) -> None:
        super().__init__(what)
        self.what = what
        self.mend = mend


def origin(text: str, *, credentials: bool) -> str:
    """The origin, or the pattern of origins, in its one form.

    Raises `NoOrigin`.
    """
    if text == ANYBODY:
        if credentials:
            mend = 'name whom you trust: origins = ["https://app.example.com"]'
            raise NoOrigin("any page of the web could act as the user who visits it", mend, "or credentials = false")
        return text
    if text.lower() == "null":
        what = "every sandboxed frame and every local file is of the origin null, whoever made it"
        raise NoOrigin(what, "give the page an origin of its own, with https")
    match = FORM.match(text)
    if match is None:
        bare = re.match(r"([A-Za-z][A-Za-z0-9+.-]*://[^/?#@]+)[/?#]", text)
        if bare:
            raise NoOrigin("an origin has no path, and browsers send none", f'"{bare[1]}"')
        raise NoOrigin("it is no origin", '"https://app.example.com", with a port where it is not the usual one')
    scheme, host, port = match[1].lower(), match[2], match[3]
    found = host_of(scheme, host)
    if found is None:
        raise NoOrigin("what it has for a host is none", names.host_mend(host))
    if found.startswith("*.") and found.count(".") < 2:
        raise NoOrigin("that is everybody who has a name there", f'"{scheme}://*.example{found[1:]}"')
    if port is not None and not 0 < int(port) < 65_536:
        raise NoOrigin("what it has for a port is none", "a port from 1 to 65535")
    if credentials and scheme == "http" and not LOOPBACK.match(found):
        what = "a page without TLS is whatever anyone on its way makes of it, and would act as the user"
        raise NoOrigin(what, f'"https://{found}"', "or credentials = false")
    own = port is None or int(port) == PORTS.get(scheme)
    return f"{scheme}://{found}" if own else f"{scheme}://{found}:{int(port)}"


def host_of(scheme: str, host: str) -> str | None:
    """A name or an address; of schemes other than those of the web, which applications make up, whatever is like one."""
    if host.startswith("["):
        at = names.address(f"{host}:1")
        return f"[{at.ip}]" if at and at.ip else None
    found = names.host(host, wildcard=True)
    if found is None:
        at = names.address(f"{host}:1")
        found = at.ip if at and at.ip else None
    if found is None and scheme not in PORTS and re.match(r"[A-Za-z0-9._-]+\Z", host):
        return host.lower()
    return found

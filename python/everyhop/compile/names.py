"""Names in the one form that the engine compares them in: hosts, paths, networks, backends' addresses.

The forms are the engine's own, asked for through the door; here they are only taken or refused.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from everyhop import _door

ZONE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
"""The name of a zone, such as clouds have."""
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")


@lru_cache(65536)
def host(text: str, *, wildcard: bool = False) -> str | None:
    """A host name: lower case, without its trailing dot. With `wildcard` also `*.` and a suffix."""
    return _door.canon_host(text, wildcard)


EVERY = "*"
"""Among the hosts of a site or of a route: every name that nobody else has, and what names nothing."""


def served(text: str) -> str | None:
    """A host of a site or of a route: a name, a wildcard, or `EVERY`, which is no name anywhere else."""
    return EVERY if text == EVERY else host(text, wildcard=True)


def below(name: str, pattern: str) -> bool:
    """Whether a wildcard of a site or of a route, which takes names of any depth, takes `name`."""
    return pattern == EVERY or (pattern.startswith("*.") and name.endswith(pattern[1:]))


def client(text: str) -> str:
    """By what a client's certificate is known, in the form that allow-lists are compared in.

    Raises `ValueError` with the reason for what no client can prove.
    """
    return _door.canon_client(text)


def covers(pattern: str, name: str) -> bool:
    """Whether a name in a certificate covers `name` (RFC 9525 §6.3): a wildcard is one whole label. Which site or route
    takes a request is another question, and the engine's."""
    if pattern == name:
        return True
    return pattern.startswith("*.") and "." in name and name.split(".", 1)[1] == pattern[2:]


def path(text: str) -> str | None:
    """A path that is already in its canonical form, else `None`."""
    return text if _door.canon_path(text) == text else None


def no_rewrite(regex: str, to: str) -> tuple[str, str] | None:
    """Which of the two is wrong, `regex` or `to`, and why; `None` where paths can be rewritten so."""
    return _door.judge_rewrite(regex, to)


def authority(text: str) -> str | None:
    """A host name or address as Host has it, in its one form, with or without a port; `None` for anything else."""
    if text.startswith((SERVICE, UNIX)):
        return None
    if (name := host(text)) is not None:
        return name
    found = address(text)
    return str(found) if found else None


def is_heard(field: str) -> bool:
    """Whether a request's field of that name can choose a route: not one that concerns a connection alone, nor one that
    only the edge may say, or its twin with `_` or `.`."""
    return _door.is_heard(field)


def is_editable(field: str, *, answer: bool) -> bool:
    """Whether a route may change the field of that name: not one that frames a message or concerns a connection alone, and in a
    request not one that says who the client is, or its twin with `_` or `.`."""
    return _door.is_editable(field, answer)


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def network(text: str) -> Network | None:
    """The network that is compared with: an IPv4-mapped one is the IPv4 network that it stands for, or none."""
    found = _door.canon_network(text)
    return ipaddress.ip_network(found) if found else None


def merged(them: Iterable[Network]) -> list[Network]:
    """As few networks as hold the same addresses, IPv4 first."""
    nets = list(them)
    return [
        *ipaddress.collapse_addresses(net for net in nets if net.version == 4),
        *ipaddress.collapse_addresses(net for net in nets if net.version == 6),
    ]


def dns_server(text: str) -> tuple[str, int] | None:
    """Address and port of a DNS server: an IP address, and port 53 where none stands there."""
    whole = (
        text if "]:" in text or text.count(":") == 1 else f"[{text.strip('[]')}]:53" if ":" in text else f"{text}:53"
    )
    found = address(whole)
    return (found.ip, found.port) if found is not None and found.ip is not None else None


@dataclass(frozen=True)
class Address:
    """A backend's address: exactly one of `ip`, `name`, `unix` and `service`."""

    ip: str | None = None
    name: str | None = None
    unix: str | None = None
    service: str | None = None
    """`_https._tcp.api.internal`: DNS says where it is, by SRV."""
    port: int = 0

    @property
    def domain(self) -> str | None:
        """Whose service it is."""
        return self.service.split(".", 2)[2] if self.service else None

    @property
    def is_literal_loopback(self) -> bool:
        """127.0.0.1, [::1] or a Unix socket: literally this host, never by a name."""
        return self.unix is not None or self.ip in {"127.0.0.1", "::1"}

    def __str__(self) -> str:
        if self.unix is not None:
            return f"{UNIX}{self.unix}"
        if self.service is not None:
            return f"{SERVICE}{self.service}"
        if self.ip is not None:
            return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"
        return f"{self.name}:{self.port}"


SERVICE, UNIX = "srv:", "unix:"
LONGEST_NAME = 107
"""Bytes of a socket's path, as the kernel takes it (unix(7))."""
OF_TCP = re.compile(r"(_[A-Za-z0-9](?:[A-Za-z0-9-]{0,13}[A-Za-z0-9])?\._[Tt][Cc][Pp])\.(.+)\Z")
"""RFC 2782, with a service's name as RFC 6335 has it."""


def port(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65_536 else None


@lru_cache(65536)
def address(text: str) -> Address | None:
    """`host:port`, `[ip]:port`, `unix:PATH` or `srv:_NAME._tcp.DOMAIN`."""
    if text.startswith(SERVICE):
        found = OF_TCP.match(text.removeprefix(SERVICE))
        domain = host(found[2]) if found else None
        return Address(service=f"{found[1].lower()}.{domain}") if found and domain else None
    if text.startswith(UNIX):
        path = text.removeprefix(UNIX)
        return Address(unix=path) if path.startswith("/") and is_name(path) else None
    left, _, right = text.rpartition(":")
    number = port(right)
    if number is None:
        return None
    bracketed = left.startswith("[") and left.endswith("]")
    try:
        ip = ipaddress.ip_address(left[1:-1] if bracketed else left)
    except ValueError:
        name = host(left)
        return Address(name=name, port=number) if name and not bracketed else None
    if (ip.version == 6) != bracketed or of_one_link(ip):
        return None
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return Address(ip=str(mapped or ip), port=number)


def is_name(path: str) -> bool:
    return len(os.fsencode(path)) <= LONGEST_NAME and "\0" not in path


def of_one_link(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """IPv6 addresses that say nothing without a scope, which names a link of one machine and which nothing here carries."""
    return isinstance(ip, ipaddress.IPv6Address) and (ip.is_link_local or ip.scope_id is not None)


def oddity(text: str) -> str | None:
    """Why what looks like an address is none here, where that is not plain to see."""
    if text.startswith(SERVICE):
        if "._udp." in text.lower():
            return "a service is reached by TCP here"
        if port(text.rpartition(":")[2]) is not None:
            return "DNS says the ports of a service, too"
        return "a service is written srv:_NAME._tcp.DOMAIN"
    if text.startswith(UNIX):
        path = text.removeprefix(UNIX)
        if not path.startswith("/"):
            return "the path of a socket begins with /"
        return (
            None if is_name(path) else f"the path of a socket has at most {LONGEST_NAME} bytes, and none of them is 0"
        )
    inside = text.rpartition(":")[0].strip("[]")
    try:
        ip = ipaddress.ip_address(inside)
    except ValueError:
        return None
    if of_one_link(ip):
        return "it holds on one link of one machine only, and scopes such as %eth0 are not taken"
    return "an IPv6 address stands in brackets" if ip.version == 6 and f"[{inside}]" not in text else None


def ascii_form(text: str) -> str | None:
    """What DNS and TLS call a name with other letters (RFC 5891); `None` where that cannot be said for sure."""
    # Python's codec is of 2003: what it folds away stands for itself today.
    if text.isascii() or any(c in "\u00df\u03c2\u200c\u200d" for c in text):
        return None
    try:
        found = text.encode("idna").decode()
    except UnicodeError:
        return None
    return host(found, wildcard=True)


def host_mend(text: str) -> str:
    """How a text that is no host name becomes one."""
    if (found := ascii_form(text)) is not None:
        return f'write it as DNS and TLS have it: "{found}"'
    if not text.isascii():
        return "write it as DNS and TLS have it, in its xn-- form"
    return 'write a name such as "shop.example.com" or "*.example.com"'


def bind(text: str) -> str | None:
    """`[::]:443`, `0.0.0.0:443`, or `:443` for all addresses."""
    found = address(f"[::]{text}" if text.startswith(":") else text)
    return str(found) if found and found.ip else None


OF_SHA256 = "sha256:"
DIGITS = re.compile(r"[0-9a-f]{64}\Z")


def fingerprint(text: str) -> str | None:
    """The digits of `sha256:` and a SHA-256, with or without colons between them."""
    digits = text.removeprefix(OF_SHA256).replace(":", "").lower()
    return digits if text.startswith(OF_SHA256) and DIGITS.match(digits) else None


OF_SPIFFE = "spiffe://"
TRUST_DOMAIN = r"[a-z0-9._-]{1,255}"
SEGMENT = r"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._-]+"
WORKLOAD = re.compile(rf"{OF_SPIFFE}{TRUST_DOMAIN}/(?:\*|{SEGMENT}(?:/{SEGMENT})*)\Z")


def workload(text: str) -> str | None:
    """A SPIFFE ID (SPIFFE-ID §2), or `spiffe://TD/*` for all of a trust domain."""
    return text if len(text) <= 2048 and WORKLOAD.match(text) else None

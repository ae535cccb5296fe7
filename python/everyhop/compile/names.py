"""Names in the one form that the engine compares them in: hosts, paths, networks, backends' addresses."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache

LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)\Z")
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


@lru_cache(65536)
def host(text: str, *, wildcard: bool = False) -> str | None:
    """A host name: lower case, without its trailing dot. With `wildcard` also `*.` and a suffix of two labels or more."""
    name = text.lower().removesuffix(".")
    rest = name
    if wildcard and name.startswith("*."):
        rest = name[2:]
    labels = rest.split(".")
    if not rest or len(name) > 253 or not all(LABEL.match(label) for label in labels) or labels[-1].isdigit():
        return None
    return name


def covers(pattern: str, name: str) -> bool:
    """Whether a certificate's or site's name covers `name` (RFC 9525 §6.3): a wildcard is one whole label."""
    if pattern == name:
        return True
    return pattern.startswith("*.") and "." in name and name.split(".", 1)[1] == pattern[2:]


def path(text: str) -> str | None:
    """A path that is already in its canonical form, else `None`."""
    if not text.startswith("/") or "//" in text or not text.isascii():
        return None
    if any(c in '\\#?"<>` \x7f' or ord(c) < 0x21 for c in text):
        return None
    for found in re.finditer("%(.{0,2})", text):
        if not re.fullmatch("[0-9A-F]{2}", found[1]) or chr(int(found[1], 16)) in UNRESERVED:
            return None
        if int(found[1], 16) < 0x20 or found[1] in {"2F", "5C", "7F"}:
            return None
    if any(re.fullmatch(r"\.\.?((;|%3B|%3F|%23|%25).*)?", segment) for segment in text.split("/")):
        return None
    if re.search("%25([01][0-9A-Fa-f]|2[EeFf5]|3[Bb]|5[Cc]|7[Ff])", text):
        return None
    return text


# As `crates/http1/src/names.rs` has them; a contract test holds the two together.
HOP_BY_HOP = frozenset(
    [
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
    ]
)
CLAIMS = re.compile(
    "(transfer-encoding|content-length|forwarded|x-real-ip|x-client-ip|x-cluster-client-ip|true-client-ip|x-request-id"
    "|x-original-url|x-rewrite-url|x-remote-user)$"
    "|x-forwarded|client-cert|x-client-cert|x-ssl-|ssl-client-|x-original-|x-tls-client"
)


def is_heard(field: str) -> bool:
    """Whether a request's field of that name can choose a route: not one that concerns a connection alone, nor one that
    only the edge may say, or its twin with `_` or `.`."""
    name = field.lower()
    if name in HOP_BY_HOP or name == "host":
        return False
    return name == "content-length" or not CLAIMS.match(re.sub("[_.]", "-", name))


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def network(text: str) -> Network | None:
    """The network that is compared with: an IPv4-mapped one is the IPv4 network that it stands for, or none."""
    try:
        it = ipaddress.ip_interface(text)
        mapped = it.ip.ipv4_mapped if isinstance(it, ipaddress.IPv6Interface) else None
        if mapped is None:
            return it.network
        return ipaddress.ip_network(f"{mapped}/{it.network.prefixlen - 96}", strict=False)
    except ValueError:
        return None


@dataclass(frozen=True)
class Address:
    """A backend's address: exactly one of `ip`, `name` and `unix`."""

    ip: str | None = None
    name: str | None = None
    unix: str | None = None
    port: int = 0

    @property
    def is_literal_loopback(self) -> bool:
        """127.0.0.1, [::1] or a Unix socket: literally this host, never by a name."""
        return self.unix is not None or self.ip in {"127.0.0.1", "::1"}

    def __str__(self) -> str:
        if self.unix is not None:
            return f"unix:{self.unix}"
        if self.ip is not None:
            return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"
        return f"{self.name}:{self.port}"


def port(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65_536 else None


@lru_cache(65536)
def address(text: str) -> Address | None:
    """`host:port`, `[ip]:port` or `unix:PATH`."""
    if text.startswith("unix:"):
        return Address(unix=text[5:]) if text[5:].startswith("/") else None
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
    if (ip.version == 6) != bracketed:
        return None
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return Address(ip=str(mapped or ip), port=number)


def bind(text: str) -> str | None:
    """`[::]:443`, `0.0.0.0:443`, or `:443` for all addresses."""
    found = address(f"[::]{text}" if text.startswith(":") else text)
    return str(found) if found and found.ip else None

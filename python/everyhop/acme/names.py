"""Names that an authority would refuse, told for each before any is asked for. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Sequence

SPECIAL = [
    "test",
    "example",
    "invalid",
    "localhost",
    "local",
    "internal",
    "home.arpa",
    "arpa",
    "onion",
    "alt",
    "lan",
    "corp",
    "home",
    "localdomain",
    "intranet",
    "private",
]
"""What no public authority issues for: special-use names (RFC 6761, 6762, 7686, 8375, 9476, ICANN's `internal`), and those that
private networks made up, none of which is in the root zone."""
MOST = 100
"""Names of one certificate: letsencrypt.org/docs/rate-limits. Others take as many or fewer, and say so."""


def refused(names: Sequence[str], kinds: Collection[str], *, public: bool) -> list[tuple[str, str]]:
    """Each name that cannot be had, and why. `kinds` are the challenges that can be answered; `public` says that the
    authority is bound by the rules of browsers."""
    found = [(name, why) for name in names if (why := of_one(name, kinds, public)) is not None]
    if len(names) > MOST:
        found.append(
            (names[MOST], f"a certificate has {MOST} names at most, and these are {len(names)}: make it two sites")
        )
    return found


def of_one(name: str, kinds: Collection[str], public: bool) -> str | None:
    base = name.removeprefix("*.")
    labels = base.split(".")
    if is_address(base):
        return "it is an address: only names can be proved here"
    if not all(labels) or len(base) > 253 or any(len(label) > 63 for label in labels) or not base.isascii():
        return "it is no name of the DNS"
    if "*" in base:
        return "a wildcard is the whole first label, and the only one"
    if name != base and "dns-01" not in kinds:
        return "a wildcard is proved by dns-01 alone (RFC 8555 §7.1.3), for which nothing is configured"
    if not kinds:
        return "there is nothing by which it could be proved: no challenge can be answered"
    if not public:
        return None
    if len(labels) == 1:
        return "it has one label: public authorities issue for names of the public DNS alone"
    if any(base == special or base.endswith(f".{special}") for special in SPECIAL):
        return f"nobody owns a name under .{labels[-1]} in the public DNS, so no public authority issues for it"
    return None


def is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True

"""What a service speaks inside TLS: for anything but HTTP the edge carries bytes, on a port of that protocol's own, and asks
for TLS in its words where it begins in the clear. Read next: `configuration.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from everyhop.model.words import StartTls

Protocol = Literal["http", "tcp", "postgres", "smtp", "imap", "ldap", "mqtt", "redis"]
PROTOCOLS: tuple[str, ...] = get_args(Protocol)


@dataclass(frozen=True)
class Spoken:
    """How a protocol's clients and servers come to TLS."""

    port: int
    """Where clients look for it, and backends are found."""
    starttls: StartTls | None = None
    alpn: str | None = None
    """What clients that begin with TLS at once insist on."""
    duty: str = ""
    """What somebody must see to at the clients."""


INSISTS = "clients are set to insist on TLS and to verify the edge's name: one that takes it where it is offered can be told that it is not"
SPOKEN: dict[str, Spoken] = {
    "tcp": Spoken(443),
    "postgres": Spoken(
        5432,
        "postgres",
        "postgresql",
        "clients have sslmode=verify-full: a weaker one can be told that there is no TLS",
    ),
    "smtp": Spoken(587, "smtp", duty=INSISTS),
    "imap": Spoken(143, "imap", duty=INSISTS),
    "ldap": Spoken(389, "ldap", duty=INSISTS),
    "mqtt": Spoken(8883),
    "redis": Spoken(6379),
}
"""Of all but HTTP. `tcp` is any other protocol, beside HTTP on its port."""

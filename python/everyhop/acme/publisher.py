"""Who makes an answer to a challenge visible: the edge for `http-01` and `tls-alpn-01`, a DNS server for `dns-01`.

Read next: `rfc2136.py`, `hook.py` and `http_hook.py`, which do the latter.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Mapping
from typing import Protocol

KINDS = ("tls-alpn-01", "http-01", "dns-01")
"""In the order in which they are tried."""


class Publisher(Protocol):
    """What is published may be published again, and withdrawn twice: a restart does not know how far it came."""

    @property
    def kinds(self) -> Collection[str]:
        """Which of `KINDS` it can answer now."""

    def publish(self, kind: str, name: str, token: str, key_authorization: str) -> float:
        """Seconds after which the authority may be told that it is there. Raises `OSError`, whose text a person reads."""

    def withdraw(self, kind: str, name: str, token: str, key_authorization: str) -> None:
        """Raises `OSError`, which is told and stops nothing."""


class Publishers:
    """One for each kind."""

    def __init__(self, by_kind: Mapping[str, Publisher]) -> None:
        self.by_kind = dict(by_kind)

    @property
    def kinds(self) -> Collection[str]:
        return [kind for kind, it in self.by_kind.items() if kind in it.kinds]

    def publish(self, kind: str, name: str, token: str, key_authorization: str) -> float:
        return self.by_kind[kind].publish(kind, name, token, key_authorization)

    def withdraw(self, kind: str, name: str, token: str, key_authorization: str) -> None:
        # Whoever published it may be configured no more.
        if kind in self.by_kind:
            self.by_kind[kind].withdraw(kind, name, token, key_authorization)


def record(name: str, key_authorization: str) -> tuple[str, str]:
    """Name and text of the TXT record that answers `dns-01` (RFC 8555 §8.4)."""
    digest = hashlib.sha256(key_authorization.encode()).digest()
    text = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    return f"_acme-challenge.{name.removeprefix('*.')}", text

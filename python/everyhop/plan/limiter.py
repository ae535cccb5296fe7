"""How many requests of one kind a route takes in a time, and at once. Routes that name the same limit count together. Read
next: `route.py`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from everyhop.plan.part import Part
from everyhop.plan.store import Shared
from everyhop.plan.told import Always, ByEffect, Never


class KeyClientAddress(Part):
    kind: Literal["client_address"]

    def __str__(self) -> str:
        return "client address"


class KeyClientName(Part):
    kind: Literal["client_name"]

    def __str__(self) -> str:
        return "client name"


class KeyRoute(Part):
    kind: Literal["route"]

    def __str__(self) -> str:
        return "route"


class KeyHost(Part):
    kind: Literal["host"]

    def __str__(self) -> str:
        return "host"


class KeyHeader(Part):
    kind: Literal["header"]
    name: Always[str]

    def __str__(self) -> str:
        return f"header {self.name}"


class KeyCookie(Part):
    kind: Literal["cookie"]
    name: Always[str]

    def __str__(self) -> str:
        return f"cookie {self.name}"


class KeyClaim(Part):
    """Of the token that its route asks for."""

    kind: Literal["claim"]
    path: Always[list[str]]

    def __str__(self) -> str:
        return f"claim {'.'.join(self.path)}"


class KeyUser(Part):
    """The name that its route asks for with its password."""

    kind: Literal["user"]

    def __str__(self) -> str:
        return "user"


KeyPart = KeyClientAddress | KeyClientName | KeyRoute | KeyHost | KeyHeader | KeyCookie | KeyClaim | KeyUser
TIMES = {1: "second", 60: "minute", 3_600: "hour", 86_400: "day"}


class Rate(Part):
    count: Always[int]
    per_s: Always[int]
    burst: Always[int]

    def __str__(self) -> str:
        burst = "" if self.burst == self.count else f", {self.burst} at a time"
        return f"{self.count} a {TIMES.get(self.per_s, f'{self.per_s} s')}{burst}"


class Limiter(Part):
    name: Never[str]
    rate: Always[Rate | None]
    at_once: Always[int | None]
    by: Always[list[Annotated[KeyPart, Field(discriminator="kind")]]]
    ipv6_prefix: ByEffect[int]  # where addresses count
    keys: Never[int]
    mode: Always[Literal["refuse", "observe"]]
    shared: Always[Shared | None]
    tells: Never[Literal["refusals", "answers"]]
    x_ratelimit: Never[bool]

    @property
    def key(self) -> str:
        """Which requests it counts as one, in words."""
        parts = [
            f"{part} (IPv6 /{self.ipv6_prefix})" if isinstance(part, KeyClientAddress) else str(part)
            for part in self.by
        ]
        return f"by {' and '.join(parts)}" if parts else "all requests together"

    def __str__(self) -> str:
        most = [str(self.rate)] if self.rate else []
        most += [f"{self.at_once} at once"] if self.at_once else []
        if self.shared is None:
            return f"{' and '.join(most)}, {self.key}"
        down = "each edge by itself" if self.shared.when_down == "local" else "none passes"
        return f"{' and '.join(most)}, {self.key}, all edges together in store {self.shared.store} (while it is silent {down})"

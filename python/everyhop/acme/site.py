"""What a site wants, what is in force of it, and what is said of it: the words between a keeper and whoever drives it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from everyhop.acme.judge import Chain
from everyhop.acme.order import Order
from everyhop.acme.problem import Problem
from everyhop.acme.publisher import KINDS


@dataclass(frozen=True)
class Site:
    """What certificates a site wants: one for each kind of key, each for all its names."""

    name: str
    names: tuple[str, ...]
    """As certificates have them: in small letters, A-labels, `*.` in front of a wildcard."""
    keys: tuple[str, ...] = ("ecdsa-p256",)
    """Of `order.KEYS`."""
    profile: str | None = None
    challenges: tuple[str, ...] = KINDS
    """Those that may be used, in the order in which they are tried."""


@dataclass(frozen=True)
class InForce:
    """A certificate with its key, as it is served."""

    site: str
    kind: str
    names: tuple[str, ...]
    begins: dt.datetime
    ends: dt.datetime
    authority: str
    """The URL of whoever issued it."""
    chain_pem: bytes = field(repr=False)
    key_pem: bytes = field(repr=False)


@dataclass(frozen=True)
class Held:
    """One certificate of a site, as it is told to whoever asks for all there is to know."""

    kind: str
    serial: str | None
    """In hexadecimal; nothing where there is none yet."""
    names: tuple[str, ...]
    until: dt.datetime | None
    authority: str | None
    renewed_at: dt.datetime
    why: str
    """Why then."""
    pending: bool
    mark: str | None
    """Of its chain, as what is served is known by (`judge.mark_of`)."""


@dataclass(frozen=True)
class Status:
    """What there is to say of a site."""

    site: str
    names: tuple[str, ...]
    until: dt.datetime | None
    """Until when all that it wants is in force; nothing where something is missing."""
    next_try: dt.datetime
    pending: bool
    """An order is under way."""
    problem: Problem | None
    """What was in the way when it was tried last, if that is so yet."""
    authority: str | None
    """By the name that the configuration gives it: who issued what is in force."""
    certificates: tuple[Held, ...] = ()


@dataclass(frozen=True)
class Stepped:
    """What a step came to."""

    wait_s: float
    """Until the next one is worth it."""
    changed: tuple[str, ...] = ()
    """Sites of which a certificate was put in force."""
    fault: Exception | None = None
    """An error of Everyhop's own, to be logged: the site that it was met at waits, and says so."""
    said: tuple[str, ...] = ()
    """What came of what somebody asked for by hand, to be logged."""
    is_new: bool = True
    """What `changed` names was issued just now; else it was found where it is kept, as at each start."""


@dataclass
class Wanted:
    """One certificate that is wanted, with what is there of it."""

    site: Site
    kind: str
    path: str
    in_force: InForce | None = None
    chain: Chain | None = None
    order: Order | None = None
    go_on_at: float = 0.0

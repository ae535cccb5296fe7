"""What compiling gives: a plan with what belongs to it.

It is held for as long as it runs, by who may not need anything that made it: nothing of the compiler is imported here. Read next:
`compiler.py`.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from everyhop.model import Config
from everyhop.plan import Plan
from everyhop.refusals import Finding
from everyhop.source import Document, Place

if TYPE_CHECKING:
    from everyhop.identity import Mark, Readings, Roots
    from everyhop.identity.tokens import TokenKey

Files = Literal["read", "if-there", "skip"]
"""Which files compiling may open. `read`: all that are named, and one that cannot be used is refused. `if-there`: only
what the plan itself depends on, the names in certificates of sites without `hosts`; no key, and what is not there is
guessed and said. `skip`: none."""


@dataclass(frozen=True)
class Life:
    """How long a certificate or a revocation list lasts, and the issuer behind it that ends first, where one stands in its chain."""

    begins_s: int
    ends_s: int
    issuer: str = ""
    issuer_ends_s: int = 0


@dataclass(frozen=True)
class Material:
    """Keys and certificates for the engine. `entries` and `digest` may be shown; `blob` holds private keys."""

    entries: list[dict[str, object]]
    digest: str
    blob: bytes = field(repr=False)
    tokens: dict[str, TokenKey] = field(default_factory=dict, repr=False)
    """Keys that are in no file, by the same ids, for whoever asks the tokens that have them."""
    lives: dict[str, Life] = field(default_factory=dict)
    """Of the certificates and revocation lists among the entries, by their ids: for whoever tells what ends, and for no engine."""

    @cached_property
    def ids(self) -> frozenset[str]:
        """Of the entries: what is there."""
        return frozenset(str(it["id"]) for it in self.entries)


@dataclass(frozen=True)
class Sealed:
    """Readings as another process gave them: what they are made of is not imported for holding them."""

    packed: bytes = field(repr=False)

    def opened(self) -> Readings:
        found: Readings = pickle.loads(self.packed)
        return found


@dataclass(frozen=True)
class Compiled:
    """A plan with what belongs to it. `findings` are warnings and notes."""

    plan: Plan
    plan_json: str
    plan_digest: str
    material: Material
    findings: list[Finding]
    document: Document = field(repr=False)
    route_names: list[str]
    watched: dict[Path, Mark | None]
    """The files that were read for it, as they were before they were read."""
    names: set[str]
    text: str = field(repr=False)
    path: Path
    config: Config = field(repr=False)
    """With what concerns the supervisor alone and stands in no plan."""
    held: Readings | Sealed = field(repr=False)
    """What was read for it."""
    said: object = field(repr=False)
    """What the plan and its rules take from certificates."""
    kept: list[Finding] = field(repr=False)
    """The findings that come of that and of the text alone."""
    rules: dict[str, str] = field(repr=False, default_factory=dict)
    """What requests are inspected by beside the shipped rules, by the name of the file; the engine is given none of it."""
    lists: dict[str, tuple[Roots, ...]] = field(repr=False, default_factory=dict)
    """By URL: the roots of whom its revocation lists are to be; none where those are yet to come."""
    zone: str | None = None
    """Where the edge is that runs it, which stands in no plan."""
    unread: tuple[str, ...] = ()
    """Files of users that were not read, so that the plan names nobody of them."""
    guessed: tuple[str, ...] = ()
    """Sites whose hosts were guessed, since their certificates were not read."""

    @property
    def readings(self) -> Readings:
        """What was read for it, for who compiles again."""
        return self.held.opened() if isinstance(self.held, Sealed) else self.held

    @property
    def comparable(self) -> bool:
        """Whether the digest is that of the plan that an edge would run from this file."""
        return not self.guessed and not self.unread

    @property
    def reservation(self) -> str:
        """What must stand beside the digest wherever it is shown; empty where it may be compared."""
        whose = ", ".join(map(repr, self.guessed))
        sites = (
            [f"the certificates of site {whose} were not read, and its hosts come from them"] if self.guessed else []
        )
        users = [f"{', '.join(self.unread)} was not read, and who may sign in stands there"] if self.unread else []
        return f" (not comparable: {'; '.join([*sites, *users])})" if sites or users else ""

    def issued(self) -> set[Path]:
        """Where certificates by ACME are looked for."""
        base, acme = self.document.path.absolute().parent, self.config.acme
        return {base / it for site in self.config.site if site.is_by_acme for it in acme.issued(site.name)}

    def places(self) -> dict[str, Place]:
        """Where each route stands in the file. Looked up only when asked: it costs a scan of the text."""
        return {name: self.document.place(("route", i)) for i, name in enumerate(self.route_names)}

"""What the rules look at, and where they put what they find."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from everyhop.identity import Crl, Pair, Roots
from everyhop.model import Backend, Config, Route
from everyhop.refusals import PAGES, Finding
from everyhop.source import Document

Key = tuple[str | int, ...]
Pattern = Literal["passthrough", "mutual", "reencrypt", "plaintext"]


@dataclass
class World:
    """One configuration under judgement."""

    document: Document
    config: Config
    now: dt.datetime
    past_dates: Literal["refuse", "close"]
    pairs: dict[Key, Pair] = field(default_factory=dict)
    roots: dict[str, Roots] = field(default_factory=dict)
    crls: dict[str, Crl] = field(default_factory=dict)
    site_hosts: dict[str, list[str]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def base(self) -> Path:
        return self.document.path.absolute().parent

    def refuse(
        self, slug: str, key: Key, what: str, *mend: str, also: tuple[Key, ...] = (), of_key: bool = False
    ) -> None:
        self.find("refused", slug, key, what, *mend, also=also, of_key=of_key)

    def warn(self, slug: str, key: Key, what: str, *mend: str, also: tuple[Key, ...] = ()) -> None:
        self.find("warning", slug, key, what, *mend, also=also)

    def find(
        self,
        severity: Literal["refused", "warning", "note"],
        slug: str,
        key: Key,
        what: str,
        *mend: str,
        also: tuple[Key, ...] = (),
        of_key: bool = False,
    ) -> None:
        place = self.document.place(key, of_key=of_key)
        others = tuple(self.document.place(k) for k in also)
        cause = next((part for part in reversed(key) if isinstance(part, str)), "")
        kind = {"route": "routes", "site": "sites", "listener": "listeners"}.get(str(key[0]) if key else "", "things")
        self.findings.append(
            Finding(
                severity,
                slug,
                place,
                what,
                PAGES[slug].why,
                tuple(m.removeprefix("or ") for m in mend),
                also=others,
                kind=kind,
                cause=cause,
            )
        )


def backends(route: Route) -> list[Backend]:
    """The route's backends, all in the long form."""
    return [Backend(at=entry) if isinstance(entry, str) else entry for entry in route.to]


def ends_at(acceptance_until: dt.date | dt.datetime) -> dt.datetime:
    """The moment at which an acceptance ends: 24:00 UTC of its last day, or the moment that it names."""
    if isinstance(acceptance_until, dt.datetime):
        return acceptance_until if acceptance_until.tzinfo else acceptance_until.replace(tzinfo=dt.UTC)
    return dt.datetime.combine(acceptance_until + dt.timedelta(days=1), dt.time(), dt.UTC)

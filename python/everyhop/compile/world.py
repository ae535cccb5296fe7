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
    certified: dict[int, tuple[str, ...]] = field(default_factory=dict)
    """The names in the first certificate of each site by its index, where it was read."""
    site_hosts: dict[str, list[str]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def base(self) -> Path:
        return self.document.path.absolute().parent

    def refuse(
        self, slug: str, key: Key, what: str, *mend: str, also: tuple[Key, ...] = (), of_key: bool = False
    ) -> None:
        self.find("refused", slug, key, what, *mend, also=also, of_key=of_key)

    def warn(self, slug: str, key: Key, what: str, *mend: str, also: tuple[Key, ...] = (), mark: str = "") -> None:
        self.find("warning", slug, key, what, *mend, also=also, mark=mark)

    def past(self, slug: str, key: Key, what: str, *mend: str, ended: dt.datetime) -> None:
        """A date that is over: refused, or warned of where what it closes may stand."""
        severity: Literal["refused", "warning"] = "refused" if self.past_dates == "refuse" else "warning"
        self.find(severity, slug, key, what, *mend, mark=ended.isoformat())

    def find(
        self,
        severity: Literal["refused", "warning", "note"],
        slug: str,
        key: Key,
        what: str,
        *mend: str,
        also: tuple[Key, ...] = (),
        of_key: bool = False,
        mark: str = "",
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
                identity=(slug, *self.named(key), mark),
            )
        )

    def named(self, key: Key) -> tuple[str, ...]:
        """`key` by the names of things rather than by their order, which an edit elsewhere changes."""
        config = self.config
        match key:
            case ("route", int(index), *rest):
                name = config.route[index].name
            case ("site", int(index), *rest):
                name = config.site[index].name
            case ("identity", int(index), *rest):
                name = config.identity[index].name
            case _:
                return tuple(map(str, key))
        return (str(key[0]), name, *map(str, rest))


def backends(route: Route) -> list[Backend]:
    """The route's backends, all in the long form."""
    return [Backend(at=entry) if isinstance(entry, str) else entry for entry in route.to]


def ends_at(acceptance_until: dt.date | dt.datetime) -> dt.datetime:
    """The moment at which an acceptance ends: 24:00 UTC of its last day, or the moment that it names."""
    if isinstance(acceptance_until, dt.datetime):
        return acceptance_until if acceptance_until.tzinfo else acceptance_until.replace(tzinfo=dt.UTC)
    if acceptance_until == dt.date.max:
        # The calendar has no day after it; it is refused as too long, like any date of that kind.
        return dt.datetime.max.replace(tzinfo=dt.UTC)
    return dt.datetime.combine(acceptance_until + dt.timedelta(days=1), dt.time(), dt.UTC)


SOON = (1, 7, 30)
"""Days before an end at which it is told that it draws near."""


def soon(left: dt.timedelta) -> int | None:
    """Which of `SOON` is reached; `None` while there is more time."""
    return next((n for n in SOON if left <= dt.timedelta(days=n)), None)

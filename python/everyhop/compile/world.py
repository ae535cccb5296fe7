"""What the rules look at, and where they put what they find."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from everyhop.compile.key_sets import KeySet
from everyhop.compile.pages import Page
from everyhop.compile.passwords import Password
from everyhop.compile.rule_files import Rules
from everyhop.compile.ticket_keys import TicketKey
from everyhop.compile.users import Users
from everyhop.identity import Crl, Mark, Pair, Readings, Roots
from everyhop.model import Authorizer, Backend, Config, Hop, Route, Side
from everyhop.refusals import PAGES, Finding, masked
from everyhop.source import SECRETS, Document, Place

Key = tuple[str | int, ...]


@dataclass
class World:
    """One configuration under judgement."""

    document: Document
    config: Config
    now: dt.datetime
    past_dates: Literal["refuse", "close"]
    readings: Readings = field(default_factory=Readings)
    pairs: dict[Key, Pair] = field(default_factory=dict)
    roots: dict[str, Roots] = field(default_factory=dict)
    crls: dict[str, Crl] = field(default_factory=dict)
    pages: dict[str, Page] = field(default_factory=dict)
    """What answers and errors of the edge's own have as their bodies, by the name of the file."""
    key_sets: dict[str, KeySet] = field(default_factory=dict)
    """Of issuers, by the name of the file."""
    users: dict[str, Users] = field(default_factory=dict)
    """Who may sign in, by the name of the file."""
    passwords: dict[int, Password] = field(default_factory=dict)
    """Of stores by their index."""
    ticket_keys: list[TicketKey] = field(default_factory=list)
    """In the order of the file."""
    rules: dict[str, Rules] = field(default_factory=dict)
    """What requests are inspected by beside the shipped rules, by the name of the file."""
    missing: set[Path] = field(default_factory=set)
    """Files that are yet to come: what an authority has not issued so far."""
    lists: dict[str, dict[str, Roots]] = field(default_factory=dict)
    """By URL: the roots, by their digests, of whom its revocation lists are to be."""
    unfit: dict[Path, Mark | None] = field(default_factory=dict)
    """Where lists are to be that are fetched, and are not, or of no use any more, as it was when that was found."""
    certified: dict[int, tuple[str, ...]] = field(default_factory=dict)
    """The names in the first certificate of each site by its index, where it was read."""
    site_hosts: dict[str, list[str]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @cached_property
    def base(self) -> Path:
        return self.document.path.absolute().parent

    def refuse(
        self, slug: str, key: Key, what: str, *mend: str, also: tuple[Key, ...] = (), of_key: bool = False
    ) -> None:
        self.find("refused", slug, key, what, *mend, also=also, of_key=of_key)

    def warn(
        self,
        slug: str,
        key: Key,
        what: str,
        *mend: str,
        also: tuple[Key, ...] = (),
        of_key: bool = False,
        mark: str = "",
    ) -> None:
        self.find("warning", slug, key, what, *mend, also=also, of_key=of_key, mark=mark)

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
        at: Place | None = None,
    ) -> None:
        """`at`: the place in another file that is named at `key`."""
        place = self.document.place(key, of_key=of_key or self.holds_more(key))
        if at is not None:
            at, place = place, at
        others: tuple[Place, ...] = () if at is None else (at,)
        others += tuple(self.document.place(k, of_key=self.holds_more(k)) for k in also)
        kind = {
            "route": "routes",
            "site": "sites",
            "listener": "listeners",
            "collector": "collectors",
            "authorizer": "authorizers",
            "store": "stores",
            "waf": "wafs",
        }.get(str(key[0]) if key else "", "things")
        mends = tuple(m.removeprefix("or ") for m in mend)
        self.findings.append(
            Finding(
                severity,
                slug,
                place,
                what,
                PAGES[slug].why,
                mends,
                also=others,
                kind=kind,
                said=self.nameless(key, (what, *mends)),
                identity=(slug, *self.named(key), mark or self.given(key)),
            )
        )

    def given(self, key: Key) -> str:
        """The value that stands at `key`, if it is one word and no secret; without one that stands in it."""
        value = self.value(key)
        return "" if value is None or isinstance(value, dict | list) or {*SECRETS} & {*key} else masked(str(value))

    def holds_more(self, key: Key) -> bool:
        """A table or list: what is marked is its name, not the bracket where it opens."""
        return isinstance(self.value(key), dict | list)

    def value(self, key: Key) -> Any:
        """What stands in the file at `key`; `None` where nothing does."""
        value: Any = self.document.values
        for part in key:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def nameless(self, key: Key, texts: tuple[str, ...]) -> tuple[str, ...]:
        """`texts` without what only says which thing it is: its name, its hosts, its addresses."""
        words = own_words(self.config, key)
        if not words:
            return texts
        pattern = re.compile(
            "|".join(rf"(?<![\w.-]){re.escape(w)}(?![\w.-])" for w in sorted(words, key=len, reverse=True))
        )
        return tuple(pattern.sub("*", text) for text in texts)

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
            case ("issuer", int(index), *rest):
                name = config.issuer[index].name
            case ("listener", int(index), *rest):
                name = config.listener[index].name
            case ("collector", int(index), *rest):
                name = config.collector[index].name
            case ("store", int(index), *rest):
                name = config.store[index].name
            case ("limit", int(index), *rest):
                name = config.limit[index].name
            case ("authorizer", int(index), *rest):
                name = config.authorizer[index].name
            case ("waf", int(index), *rest):
                name = config.waf[index].name
            case _:
                return tuple(map(str, key))
        return (str(key[0]), name, *map(str, rest))


def own_words(config: Config, key: Key) -> set[str]:
    """A name counts where it stands as the thing's: what a route presents may be called as the route is, and is not it."""

    def called(name: str) -> set[str]:
        return {f"{key[0]} {name!r}", f"accept {name}"}

    match key:
        case ("route", int(index), *_):
            route = config.route[index]
            mirrors = [it if isinstance(it, str) else it.at for it in (route.mirror.to if route.mirror else ())]
            return called(route.name) | {w for w in (*route.hosts, *(b.at for b in backends(route)), *mirrors) if w}
        case ("site", int(index), *_):
            site = config.site[index]
            return called(site.name) | {w for w in site.hosts or [] if w}
        case ("identity", int(index), *_):
            return called(config.identity[index].name)
        case ("issuer", int(index), *_):
            return called(config.issuer[index].name)
        case ("limit", int(index), *_):
            return called(config.limit[index].name)
        case ("listener", int(index), *_):
            listener = config.listener[index]
            return called(listener.name) | {w for w in listener.bind if w}
        case ("collector", int(index), *_):
            collector = config.collector[index]
            return called(collector.name) | {w for w in collector.to if w}
        case ("authorizer", int(index), *_):
            authorizer = config.authorizer[index]
            return called(authorizer.name) | {w for w in authorizer.to if w}
        case ("waf", int(index), *_):
            return called(config.waf[index].name)
        case ("store", int(index), *_):
            return called(config.store[index].name) | {w for w in config.store[index].to if w}
        case _:
            return set()


def backends(it: Route | Side | Authorizer) -> list[Backend]:
    """The route's backends, a collector's, a store's or an authorizer's, all in the long form."""
    return [Backend(at=entry) if isinstance(entry, str) else entry for entry in it.to]


def demands_asking(route: Route | Side | Authorizer, backend: Hop) -> bool:
    """Whether a backend, which is mutual, must ask for our certificate: as it says, as its route says, or for its data."""
    given = route.demand_asks if backend.demand_asks is None else backend.demand_asks
    return route.data == "major-incident" if given is None else given


def demands_post_quantum(route: Route | Side | Authorizer, backend: Hop) -> bool:
    """Whether the hop is by post-quantum key exchange alone: as it says, or as its route says."""
    given = route.require_post_quantum if backend.require_post_quantum is None else backend.require_post_quantum
    return bool(given)


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

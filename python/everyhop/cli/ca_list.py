"""`everyhop ca list`: what is in force and what ends when; and what an authority needs somebody to do."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import typer

from everyhop.authority import Authority, Entry, opened
from everyhop.cli.console import print_json
from everyhop.screen import Paint, ahead, line

SOON = dt.timedelta(days=30)
LISTS_SOON = dt.timedelta(days=7)


def list_(
    dir_: Annotated[Path, typer.Argument(metavar="DIR", help="The authority's folder.")],
    every: Annotated[bool, typer.Option("--all", help="What ended or was taken back, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    it = opened(dir_)
    now, known = it.clock(), it.index()
    rows = sorted(known.entries.values(), key=lambda e: (e.ends, e.serial))
    troubles = wrong(it, now)
    if as_json:
        print_json(as_data(it, rows, troubles, now))
        return
    for g in it.generations():
        role = "issues" if g.number == it.active else "is trusted"
        line(
            f"generation {g.number} {role}: until {g.issuing.not_valid_after_utc:%Y-%m-%d}, its root until {g.root.not_valid_after_utc:%Y-%m-%d}"
        )
    shown = rows if every else it.in_force(known, now)
    shown = sorted(shown, key=lambda e: (e.ends, e.serial))
    for e in shown:
        line(
            f"{e.serial}  ",
            Paint(f"{status(it, e, now):<12}", COLOURS.get(status(it, e, now), "dim")),
            f"  {when(e, now)}  {', '.join(e.names)}",
        )
    line(f"{len(it.in_force(known, now))} in force, {len(rows)} issued in all")
    for text in troubles:
        line(Paint("trouble", "red"), f"  {text}")


COLOURS = {"in force": "green", "ends soon": "yellow", "revoked": "red"}


def status(it: Authority, e: Entry, now: dt.datetime) -> str:
    if e.revoked is not None:
        return "revoked"
    if now >= e.ends:
        return "ended"
    if e.generation not in it.trusted:
        return "untrusted"
    soon = e.ends - now < min(SOON, (e.ends - e.begins) / 3)
    return "ends soon" if soon else "in force" if e.generation == it.active else "old issuer"


def when(e: Entry, now: dt.datetime) -> str:
    left = f" ({ahead(e.ends - now)})" if now < e.ends else ""
    return f"{e.ends:%Y-%m-%d}{left}"


def wrong(it: Authority, now: dt.datetime) -> list[str]:
    """What hurts, or will, in sentences."""
    found = []
    lists = it.published()
    ends = min((one.next_update_utc for one in lists if one.next_update_utc), default=now)
    if ends <= now:
        found.append(
            f"the revocation lists are overdue since {ends:%Y-%m-%d %H:%M}: nobody is believed: everyhop ca crl DIR"
        )
    elif ends - now < LISTS_SOON:
        found.append(f"the revocation lists end {ahead(ends - now)}, and then nobody is believed: everyhop ca crl DIR")
    told = {one.serial_number for revoked in lists for one in revoked}
    missing = [
        e
        for e in it.index().entries.values()
        if e.revoked and now < e.ends and e.generation in it.trusted and int(e.serial, 16) not in told
    ]
    if missing:
        found.append(f"{len(missing)} certificate(s) were taken back and are on no list: everyhop ca crl DIR")
    for g in it.generations():
        left = g.issuing.not_valid_after_utc - now
        if g.number == it.active and left < dt.timedelta(days=180):
            found.append(
                f"the issuing authority ends {ahead(left) if left > dt.timedelta() else 'now'}: everyhop ca rotate DIR"
            )
    return found


def as_data(it: Authority, rows: list[Entry], troubles: list[str], now: dt.datetime) -> dict[str, object]:
    generations = [
        {
            "generation": g.number,
            "issues": g.number == it.active,
            "ends": g.issuing.not_valid_after_utc.isoformat(),
            "root_ends": g.root.not_valid_after_utc.isoformat(),
        }
        for g in it.generations()
    ]
    certificates = [
        {
            "serial": e.serial,
            "names": list(e.names),
            "state": status(it, e, now),
            "begins": e.begins.isoformat(),
            "ends": e.ends.isoformat(),
            "generation": e.generation,
            "revoked": e.revoked.isoformat() if e.revoked else None,
            "reason": e.reason or None,
        }
        for e in rows
    ]
    return {"name": it.policy.name, "generations": generations, "certificates": certificates, "troubles": troubles}

"""`everyhop ca token`: tokens that become one certificate each. One is shown once, as it is made; it is listed by its hash."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import typer

from everyhop.authority import Authority, opened
from everyhop.authority.certify import USES
from everyhop.authority.enrolment import invite, withdraw
from everyhop.authority.index import Invitation
from everyhop.authority.names import Name, named
from everyhop.cli.console import print_json
from everyhop.cli.spans import span
from everyhop.errors import Misuse
from everyhop.screen import Paint, exact, line

DIGITS = 12
"""Of its hash: enough to tell tokens apart."""
COLOURS = {"good": "green", "withdrawn": "red"}


def token(
    dir_: Annotated[Path, typer.Argument(metavar="DIR", help="The authority's folder.")],
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="Of the certificate.")] = None,
    use: Annotated[str, typer.Option("--for", metavar="|".join(USES), help="What that proves.")] = "both",
    lifetime: Annotated[str, typer.Option("--lifetime", metavar="TIME", help="How long the token is good.")] = "10m",
    certificate: Annotated[
        str,
        typer.Option("--certificate-lifetime", metavar="TIME", help="How long the certificate is, and those after it."),
    ] = "30d",
    listed: Annotated[bool, typer.Option("--list", help="Show the tokens that are good.")] = False,
    every: Annotated[bool, typer.Option("--all", help="With --list: those too that are not.")] = False,
    gone: Annotated[
        str | None,
        typer.Option("--withdraw", metavar="HASH|NAME", help="End tokens that nobody used yet.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="With --list: for programs.")] = False,
) -> None:
    if bool(names) + listed + (gone is not None) > 1:
        raise Misuse("one thing at a time: NAME... makes a token, --list shows them, --withdraw ends one")
    it = opened(dir_)
    if listed:
        show(it, every=every, as_json=as_json)
    elif gone is not None:
        for one in withdraw(it, gone):
            line(f"withdrawn: {one.sha256[:DIGITS]}, {', '.join(one.names)}")
    else:
        if use not in USES:
            raise Misuse(f"--for takes {', '.join(USES)}, not {use!r}")
        wanted: list[Name] = list(dict.fromkeys(map(named, names or [])))
        exact(str(invite(it, wanted, use, span(certificate), span(lifetime))))


def show(it: Authority, *, every: bool, as_json: bool) -> None:
    now = it.clock()
    rows = [one for one in it.index().invitations.values() if every or one.good(now)]
    if as_json:
        print_json({"tokens": [as_data(one, now) for one in rows]})
        return
    for one in rows:
        is_ = state(one, now)
        line(
            f"{one.sha256[:DIGITS]}  ",
            Paint(f"{is_:<9}", COLOURS.get(is_, "dim")),
            f"  {one.ends:%Y-%m-%d %H:%M} UTC  {', '.join(one.names)}",
            f"  became {one.became}" if one.became else "",
        )
    line(f"{sum(one.good(now) for one in rows)} good")


def state(one: Invitation, now: dt.datetime) -> str:
    if one.became is not None:
        return "used"
    if one.withdrawn is not None:
        return "withdrawn"
    return "good" if now < one.ends else "over"


def as_data(one: Invitation, now: dt.datetime) -> dict[str, object]:
    return {
        "sha256": one.sha256,
        "names": list(one.names),
        "for": one.use,
        "state": state(one, now),
        "ends": one.ends.isoformat(),
        "certificate_lasts_s": int(one.lasts.total_seconds()),
        "became": one.became,
        "withdrawn": one.withdrawn.isoformat() if one.withdrawn else None,
    }

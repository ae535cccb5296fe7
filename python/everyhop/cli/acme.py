"""`everyhop acme`: what the running edge has from authorities, and what is done with it by hand. The supervisor does it; this asks,
and waits until it is done or says why not."""

from __future__ import annotations

import datetime as dt
import sys
import time
from typing import Annotated, Any, Literal

import typer

from everyhop.admin import Client
from everyhop.cli.console import print_json
from everyhop.cli.options import Config
from everyhop.errors import Misuse
from everyhop.screen import beside, line

ASK_S = 0.25
PATIENCE_S = 600
"""An order takes seconds, and with secondaries of a zone some minutes; what is begun goes on when nobody waits any more."""

Json = Annotated[bool, typer.Option("--json", help="For programs.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Return once it is begun.")]
Reason = Literal["key-compromise", "superseded", "cessation-of-operation", "affiliation-changed"]


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Certificates by ACME: show, renew and revoke them, and change accounts' keys.")
    group.command("list", help="Show each certificate, when it is renewed and why then, and what is in the way.")(list_)
    group.command("renew", help="Order another certificate for a site now, with a new key.")(renew)
    group.command("revoke", help="Get another certificate, then have the authority take this one back.")(revoke)
    group.command("rollover", help="Give the account with each authority a new key.")(rollover)
    app.add_typer(group, name="acme")


def list_(config: Config = None, as_json: Json = False) -> None:
    answer = Client(config).ask("acme", do="list")
    if as_json:
        print_json({"sites": answer["sites"], "revocations": answer["revocations"]})
        return
    sites: Any = answer["sites"]
    taken_back: Any = answer["revocations"]
    if not sites and not taken_back:
        line('no site has its certificates by ACME: certs = "acme"')
    for it in sites:
        for one in it["certificates"]:
            put(f"site {it['site']}  ", about(one))
        if it["problem"]:
            put(f"site {it['site']}  ", f"in the way: {it['problem']}; tried again at {second(it['next_try'])}")
    for it in taken_back:
        put(f"site {it['site']}  ", taken(it))


def taken(it: dict[str, Any]) -> str:
    in_the_way = f": {it['problem']}" if it["problem"] else ""
    return f"{it['serial']}, {WORDS[it['is']]} ({it['reason']}){in_the_way}"


WORDS = {
    "replacing": "revoked as soon as another one is served",
    "revoking": "being revoked",
    "revoked": "revoked",
    "refused": "not revoked, the authority refuses it",
}


def about(it: dict[str, Any]) -> str:
    if it["serial"] is None:
        told = f"{it['key']}: no certificate yet"
        return f"{told}, an order is under way" if it["pending"] else f"{told}, asked for at {second(it['renewed_at'])}"
    served = "" if it["served"] else ", not served yet"
    what = f"{it['key']}: {', '.join(it['names'])} by {it['authority']} until {second(it['until'])}, serial {it['serial']}{served}"
    when = "an order is under way" if it["pending"] else f"renewed at {second(it['renewed_at'])}"
    return f"{what}; {when}: {it['why']}"


def second(text: str) -> str:
    return f"{text[:19]}Z"


def put(first: str, text: str) -> None:
    for row in beside(first, text).split("\n"):
        line(row)


def renew(
    site: Annotated[str, typer.Argument(metavar="SITE", help="By its name.")],
    no_wait: NoWait = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    seen = asked(config, no_wait, do="renew", site=site)
    one = f"site {site} serves {', '.join(seen.get('serials', ()))}"
    end(seen, one, "a new certificate is ordered; the one in force is served until then", as_json=as_json)


def revoke(
    site: Annotated[str | None, typer.Argument(metavar="SITE", help="By its name.", show_default=False)] = None,
    serial: Annotated[
        str | None,
        typer.Option("--serial", metavar="HEX", help="This certificate, of whichever site.", show_default=False),
    ] = None,
    reason: Annotated[
        Reason | None, typer.Option("--reason", help="What the authority is told.", show_default=False)
    ] = None,
    only: Annotated[
        bool,
        typer.Option("--only", help="At once, even while it is served: the site has none until another one is there."),
    ] = False,
    no_wait: NoWait = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    if (site is None) == (serial is None):
        raise Misuse("say SITE or --serial HEX, one of the two")
    digits = None if serial is None else plain(serial)
    seen = asked(config, no_wait, do="revoke", site=site, serial=digits, reason=reason or "unspecified", only=only)
    end(seen, f"revoked: {', '.join(seen.get('serials', ()))}", "it is begun, and goes on by itself", as_json=as_json)


def plain(serial: str) -> str:
    """As browsers and openssl write it, too.

    Raises `Misuse`.
    """
    digits = serial.replace(":", "").lower()
    try:
        return f"{int(digits, 16):x}".zfill(2)
    except ValueError as e:
        raise Misuse(f"--serial takes hexadecimal digits, not {serial!r}") from e


def rollover(no_wait: NoWait = False, config: Config = None, as_json: Json = False) -> None:
    seen = asked(config, no_wait, do="rollover")
    told = [f"the account with {it['authority']}: {it['said']}" for it in seen.get("accounts", ())]
    if seen["is"] == "stopped":
        seen["why"] = "; ".join(told)
    end(seen, "\n".join(told), "it is begun", as_json=as_json)


def asked(config: str | None, no_wait: bool, **question: object) -> dict[str, Any]:
    """What came of it, once it is known; with `no_wait` once it is begun."""
    answer = Client(config).ask("acme", **question)
    if "number" not in answer:
        return {"is": "refused", "why": answer["why"]}
    until = time.monotonic() + PATIENCE_S
    while True:
        seen = Client(config).ask("acme", do="seen", number=answer["number"])
        if seen["is"] not in {"asked", "waiting"} or (no_wait and seen["is"] == "waiting"):
            return seen
        if time.monotonic() > until:
            return {"is": "stopped", "why": f"not within {PATIENCE_S // 60} minutes", "next_try": None}
        time.sleep(ASK_S)


def end(seen: dict[str, Any], done: str, begun: str, *, as_json: bool) -> None:
    """Exit 0 where it is done, or begun and nobody waits; 1 where it is not, with why and when it is tried."""
    good = seen["is"] in {"done", "waiting"}
    if as_json:
        print_json({key: value for key, value in seen.items() if key not in {"answer", "protocol"}})
    elif good:
        for row in (done if seen["is"] == "done" else begun).split("\n"):
            line(row)
    else:
        line("nothing is begun" if seen["is"] == "refused" else "not done", to=sys.stderr)
        at = seen.get("next_try")
        again = f"; tried again by itself at {second(dt.datetime.fromisoformat(at).isoformat())}" if at else ""
        for row in beside("  ", f"{seen.get('why')}{again}").split("\n"):
            line(row, to=sys.stderr)
    raise typer.Exit(0 if good else 1)

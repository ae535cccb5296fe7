"""`everyhop check`: is this configuration fit to run, and what does it decide? Touches files, and the network with `--online` alone."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import typer

from everyhop.cli.console import print_json, report
from everyhop.cli.drawing import SHUT, closes_at, fronts, hops, readers, table
from everyhop.compile import Compiled, compile_file
from everyhop.errors import Misuse, Refused
from everyhop.refusals import Finding, ordered, to_json
from everyhop.screen import line, lines, wrapped
from everyhop.source import find

File = Annotated[
    str | None,
    typer.Argument(
        help="Configuration; default: $EVERYHOP_CONFIG, ./everyhop.toml, /etc/everyhop.", show_default=False
    ),
]


def register(app: typer.Typer) -> None:
    app.command("check", help="Judge a configuration: one line a route, or every refusal with its mend.")(check)


def moment(text: str | None) -> dt.datetime:
    if text is None:
        return dt.datetime.now(dt.UTC)
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError as e:
        raise Misuse(f"--at takes a date such as 2027-03-01, not {text!r}") from e
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


def check(
    file: File = None,
    at: Annotated[str | None, typer.Option("--at", metavar="DATE", help="Judge dates as on that day.")] = None,
    no_files: Annotated[
        bool, typer.Option("--no-files", help="Open no certificate or key, as for a pull request.")
    ] = False,
    online: Annotated[
        bool,
        typer.Option(
            "--online", help="Ask the DNS, too: whether names resolve, and whether CAA lets the ACME authority issue."
        ),
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings are refusals.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    now = moment(at)
    path = find(file)
    try:
        compiled = compile_file(path, now=now, files="skip" if no_files else "read")
        findings = compiled.findings
        if compiled.material.tokens:
            findings = asked_tokens(compiled)
        if online:
            findings = [*findings, *look(compiled, now)]
            if any(it.severity == "refused" for it in findings):
                raise Refused(findings, compiled.text)
    except Refused as e:
        if as_json:
            found = to_json(ordered(e.findings, strict=strict))
            print_json({"ok": False, "file": str(path), "findings": found})
        else:
            report(e.findings, strict=strict)
        raise typer.Exit(1) from e
    bad = strict and any(f.severity == "warning" for f in findings)
    if as_json:
        by = fronts(compiled.plan)
        routes = [
            {
                "name": r.name,
                "hops": hops(r, by.get(r.name, SHUT)),
                "readers": readers(r, by.get(r.name, SHUT)),
                "closes_at": end.isoformat() if (end := closes_at(r)) else None,
            }
            for r in compiled.plan.routes
        ]
        print_json(
            {
                "ok": not bad,
                "file": str(path),
                "plan_digest": compiled.plan_digest,
                "plan_digest_comparable": compiled.comparable,
                "routes": routes,
                "findings": to_json(ordered(findings, strict=strict)),
            }
        )
        raise typer.Exit(1 if bad else 0)
    for parts in table(compiled.plan, now):
        line(*parts)
    unread = ", certificates not read" if no_files else ""
    digest = f"{compiled.plan_digest[:16]}{compiled.reservation}"
    lines(wrapped(f"plan {digest}  {len(compiled.plan.routes)} route(s), {path}{unread}", 4))
    report(findings, strict=strict)
    raise typer.Exit(1 if bad else 0)


def asked_tokens(compiled: Compiled) -> list[Finding]:
    """Raises `Refused` where a token does not sign by a key."""
    from everyhop.engine.tokens import judge

    if found := judge(compiled):
        raise Refused([*compiled.findings, *found], compiled.text)
    return compiled.findings


def look(compiled: Compiled, now: dt.datetime) -> list[Finding]:
    # What asks an authority takes a while to be read, and `check` alone asks nobody.
    from everyhop.online import asked

    return asked(compiled, now)

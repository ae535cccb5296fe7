"""`everyhop waf`: what the inspector says of requests in a file, by the rules that an edge would ask; and what those that an edge
asked found, out of its log."""

from __future__ import annotations

import datetime as dt
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from everyhop.cli.console import print_json
from everyhop.errors import Misuse, Surroundings
from everyhop.files import read_regular
from everyhop.screen import Paint, line, lines, wrapped
from everyhop.waf import Exclusion, Inspector, NoVerdict, Policy, RuleFile, Verdict
from everyhop.waf.families import looks_for
from everyhop.waf.findings import Found as Denied
from everyhop.waf.findings import counted, in_log
from everyhop.waf.requests import MOST_BYTES, Found, in_file

LONGEST = 72
"""Of a request's first line; the rest tells nothing more of which one it is."""
MOST_ROWS = 20


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Rules of a web application firewall: what they say of requests.")
    group.command("test", help="Say of each request in a file which rules match. Exit code 1: one is denied.")(test)
    group.command("explain", help="Say which rules denied requests, out of an access log, and how one is taken back.")(
        explain
    )
    app.add_typer(group, name="waf")


def test(
    file: Annotated[Path, typer.Argument(help="Requests as a client sends them, or by hand with ### between them.")],
    paranoia: Annotated[int, typer.Option("--paranoia", min=1, max=4, help="Level of the rules: 1 to 4.")] = 1,
    extra: Annotated[
        list[Path] | None, typer.Option("--extra", metavar="FILE", help="Rules of your own.", show_default=False)
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            "--exclude",
            metavar="'RULE [PATH] [ARGUMENT]'",
            help="Take a rule back: everywhere, below a path, for an argument.",
            show_default=False,
        ),
    ] = None,
    body_bytes: Annotated[
        int, typer.Option("--body-bytes", min=1, max=4 << 20, help="How much of a body is inspected.")
    ] = 131_072,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    files = tuple(RuleFile(str(path), content(path).decode(errors="replace")) for path in extra or [])
    policy = Policy(
        paranoia=paranoia, body_bytes=body_bytes, extra=files, exclusions=tuple(map(exclusion, exclude or []))
    )
    requests = list(in_file(content(file), body_bytes))
    if not requests:
        raise Misuse(f"there is no request in {file}")
    with Inspector([policy]) as inspector:
        answers = [(it, asked(inspector, it)) for it in requests]
    if as_json:
        print_json({"requests": [as_data(it, answer) for it, answer in answers]})
    else:
        for it, answer in answers:
            tell(file, it, answer)
    raise typer.Exit(1 if any(denied(it, answer) for it, answer in answers) else 0)


def content(path: Path) -> bytes:
    try:
        return read_regular(path, MOST_BYTES)[0]
    except (OSError, ValueError) as e:
        raise Surroundings(f"{path} cannot be read: {getattr(e, 'strerror', None) or e}") from e


def exclusion(text: str) -> Exclusion:
    """Of `942100`, `942100 /search`, `942100 q` or `942100 /search q`."""
    rule, *rest = text.split() or [""]
    path = rest.pop(0) if rest and rest[0].startswith("/") else ""
    argument = rest.pop(0) if rest else ""
    if not rule.isascii() or not rule.isdigit() or len(rule) > 9 or rest:
        raise Misuse(f"--exclude takes a rule's number, and a path, an argument or both behind it, not {text!r}")
    return Exclusion(int(rule), path, argument)


def asked(inspector: Inspector, it: Found) -> Verdict | str:
    """The verdict; or why there is none."""
    if it.request is None:
        return it.why
    try:
        return inspector.ask(it.request, deadline_s=60)
    except NoVerdict as e:
        return str(e)


def denied(it: Found, answer: Verdict | str) -> bool:
    return isinstance(answer, str) or answer.action != "allow"


def tell(file: Path, it: Found, answer: Verdict | str) -> None:
    shown = it.shown if len(it.shown) <= LONGEST else it.shown[:LONGEST] + " ..."
    line(f"{file}:{it.line}: {shown}")
    if isinstance(answer, str):
        by = f"the edge refuses it, before any rule [{it.slug}]: " if it.slug else ""
        line("  ", Paint("none", "yellow"), f"    {by}{answer}")
        return
    if answer.action == "allow":
        line("  ", Paint("allow", "green"), f"   score {answer.score}")
    else:
        line("  ", Paint(f"deny {answer.status}", "red"), f"  score {answer.score}")
    if it.request is not None and not it.request.whole:
        line(f"  of the body the first {len(it.request.body)} bytes are inspected")
    for rule in answer.rules:
        line(f"  {rule.rule}  {rule.severity or '-':9} {rule.message or '(no message)'}  on {rule.on}")


def as_data(it: Found, answer: Verdict | str) -> dict[str, object]:
    """One request for programs."""
    base: dict[str, object] = {"line": it.line, "request": it.shown}
    if isinstance(answer, str):
        return base | {"action": None, "refused_by_edge": it.slug or None, "why": answer}
    rules = [rule._asdict() for rule in answer.rules]
    return base | {"action": answer.action, "status": answer.status or None, "score": answer.score, "rules": rules}


def explain(
    log: Annotated[Path, typer.Argument(help="The access log; - reads from a pipe.")],
    id_: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="Of one request: X-Request-Id.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    found = list(in_log(lines_of(log)))
    if id_ is not None:
        tell_one([it for it in found if it.id == id_], id_, as_json=as_json)
        return
    rows = counted(found)
    if as_json:
        names = ("times", "rule", "on", "at", "last_id")
        print_json({"requests": len(found), "matches": [dict(zip(names, row, strict=True)) for row in rows]})
        return
    line(f"{len(found)} request(s) that rules denied, or would have")
    for n, rule, on, at, last in rows[:MOST_ROWS]:
        lines(wrapped(f"{n} x {rule} on {on} at {at}: {looks_for(rule)} (such as {last})", 2, "  "))
    if len(rows) > MOST_ROWS:
        line(f"  and {len(rows) - MOST_ROWS} more kind(s): --json has all")
    if rows:
        line("one by one, and how a rule is taken back: everyhop waf explain LOG --id ID")


def tell_one(found: list[Denied], id_: str, *, as_json: bool) -> None:
    if not found:
        raise Misuse(f"the log has no request {id_} that rules denied, or would have")
    today = dt.datetime.now(dt.UTC).date()
    if as_json:
        print_json({"requests": [asdict(it) | {"exclude": it.taken_back(today)} for it in found]})
        return
    for it in found:
        for text in it.told:
            lines(wrapped(text, 4, ""))
        line("if that was no attack, and somebody answers for it:")
        for text in it.taken_back(today):
            line(f"  exclude = [{text}]")


def lines_of(log: Path) -> list[str]:
    if str(log) == "-":
        return sys.stdin.read().splitlines()
    try:
        return log.read_text(errors="replace").splitlines()
    except OSError as e:
        raise Surroundings(f"{log} cannot be read: {e.strerror}") from e

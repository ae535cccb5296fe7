"""`everyhop probe --grade`: what a TLS server offers, and which policy that satisfies. Read next: `everyhop/grade`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import Any

from cryptography import x509

from everyhop.cli.console import print_json
from everyhop.compile.names import Address
from everyhop.compile.policies import DATED
from everyhop.errors import Misuse
from everyhop.grade import ALL, Finding, Grade, Offered, Shown, Unprobed, judged, tried
from everyhop.grade.openssl import Peer
from everyhop.screen import Paint, beside, line, lines

WORDS = ("modern", "intermediate")


class NotProbed(Misuse):
    """There is nothing that could be graded; the same exit code as a wrong command line, so that no script takes it for a grade."""


def graded(
    ask: dict[str, Any],
    at: Address,
    roots: Collection[x509.Certificate],
    present: str | None,
    at_least: str | None,
    *,
    as_json: bool,
) -> int:
    """Tries, judges and tells; the exit code."""
    if at_least is not None and at_least not in {*WORDS, *ALL}:
        raise Misuse(f"--at-least takes one of {', '.join((*WORDS, *ALL))}, not {at_least!r}")
    host = at.ip or at.name or ""
    chain, _, key = (present or "").partition(",")
    peer = Peer(host, at.port, ask["sni"] or host, ask["timeout_s"], (chain, key) if present else None)
    try:
        offered = tried(ask, peer, roots)
    except Unprobed as e:
        name = "" if peer.sni else "; many servers answer to a name alone: --sni NAME"
        raise NotProbed(f"{ask['addr']} could not be probed: {e}{name}") from e
    now = dt.datetime.now(dt.UTC)
    grade = judged(offered, now)
    if as_json:
        print_json(in_json(offered, grade))
    else:
        tell(offered, grade, now)
    return 0 if at_least is None or grade.is_at_least(at_least) else 1


def in_json(it: Offered, grade: Grade) -> dict[str, Any]:
    return {
        "at": it.at,
        "name": it.name,
        "grade": grade.word,
        "policy": grade.policy,
        "satisfies": list(grade.satisfies),
        "versions": list(it.versions),
        "suites": list(it.suites),
        "groups": list(it.groups),
        "certificates": [certificate(shown) for shown in it.shown],
        "hsts": {"state": it.hsts.state, "text": it.hsts.text},
        "findings": [{"id": f.id, "what": f.what, "mend": f.mend, "fails": list(f.fails)} for f in grade.findings],
        "not_tried": list(it.not_tried),
    }


def certificate(it: Shown) -> dict[str, Any]:
    return {
        "sha256": it.sha256,
        "subject": it.subject,
        "issuer": it.issuer,
        "names": list(it.names),
        "key": it.key,
        "not_before": it.begins.isoformat(),
        "not_after": it.ends.isoformat(),
        "must_staple": it.must_staple,
        "verified": it.verified,
        "verified_why": it.why,
    }


def tell(it: Offered, grade: Grade, now: dt.datetime) -> None:
    line(f"{it.at}  ", Paint(named(grade), "red" if grade.policy is None else "green"))
    row("versions", ", ".join(it.versions))
    row("suites", ", ".join(it.suites) or "none that could be offered")
    row("groups", ", ".join(it.groups) or "none that could be offered")
    for shown in it.shown:
        names = ", ".join(shown.names) or shown.subject
        days = f"{(shown.ends - now).days} of {shown.lasts.days} days left"
        row("shows", f"{names}; {shown.key}; {days}; by {shown.issuer}; verified {shown.verified}")
    row("hsts", {"said": it.hsts.text, "not-said": "none"}.get(it.hsts.state, f"not asked: {it.hsts.text}"))
    for head, findings in heads(grade):
        line(f"{head}:")
        for finding in findings:
            lines(beside("  - ", finding.what))
            lines(beside("    mend  ", finding.mend))
    line("not tried:")
    for what in it.not_tried:
        lines(beside("  - ", what))


def row(head: str, text: str) -> None:
    lines(beside(f"  {head:<9} ", text))


def named(grade: Grade) -> str:
    if grade.policy is None:
        return "below intermediate"
    return f"{grade.word}, by {DATED[grade.policy][1].version} of {DATED[grade.policy][1].year}"


def heads(grade: Grade) -> list[tuple[str, list[Finding]]]:
    """The findings by what they keep the server from, the worst first."""
    found: dict[str, list[Finding]] = {}
    for finding in grade.findings:
        found.setdefault(head(finding), []).append(finding)
    return sorted(found.items(), key=lambda it: min(ORDER.index(w) for w in ORDER if it[0].startswith(w)))


ORDER = ("below intermediate because", "not modern because", "not by ", "besides, and not counted")


def head(finding: Finding) -> str:
    if not finding.fails:
        return ORDER[3]
    for word, text in (("intermediate", ORDER[0]), ("modern", ORDER[1])):
        if all(name in finding.fails for name in ALL if DATED[name][0] == word):
            return text
    versions = dict.fromkeys(DATED[name][1].version for name in finding.fails)
    return f"{ORDER[2]}{', '.join(versions)} because"

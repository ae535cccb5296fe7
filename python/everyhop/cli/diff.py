"""`everyhop diff OLD NEW`: what changed in trust, not in text; exit 1 when something weakened that nobody allowed."""

from __future__ import annotations

import fnmatch
import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from everyhop import __version__
from everyhop.admin import Client
from everyhop.cli.console import print_json
from everyhop.cli.running_plan import running_plan
from everyhop.compile import compile_file
from everyhop.compile.reading import read_document
from everyhop.diff import KINDS, Change, compare, settings_changes
from everyhop.errors import Misuse, Surroundings
from everyhop.model import Config
from everyhop.plan import Plan
from everyhop.screen import Paint, beside, line, lines, printable
from everyhop.source import Texts, find

ORDER = ("weaker", "neutral", "stronger")
SIGNS = {"weaker": ("-", "red"), "stronger": ("+", "green"), "neutral": ("~", "yellow")}


def register(app: typer.Typer) -> None:
    app.command("diff", help="What changed in trust between two configurations, a git revision, or what runs.")(diff)


def diff(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[OLD] NEW", help="Two files; or one, compared with --git or with what runs.", show_default=False
        ),
    ] = None,
    git: Annotated[
        str | None,
        typer.Option("--git", metavar="REV", help="OLD is NEW as it was at that revision.", show_default=False),
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            "--allow", metavar="KIND:NAME", help="A weakening that is meant; may be repeated.", show_default=False
        ),
    ] = None,
    format_: Annotated[str, typer.Option("--format", help="text | json | markdown | sarif")] = "text",
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    given = files or []
    for text in allow or []:
        if text.partition(":")[0] not in KINDS:
            raise Misuse(f"--allow takes KIND:NAME with one of {', '.join(KINDS)}")
    if len(given) == 2 and git is None:
        old, new = plan_of(Path(given[0])), plan_of(Path(given[1]))
    elif len(given) <= 1:
        path = find(given[0] if given else None)
        old, new = (at_revision(path, git) if git else running(str(path))), plan_of(path)
    else:
        raise Misuse("diff takes OLD NEW, or NEW with --git REV, or NEW alone to compare with what runs")
    changes = [*unknown(old, new), *compare(old.plan, new.plan)]
    if old.config is not None and new.config is not None:
        changes += settings_changes(old.config, new.config)
    changes.sort(key=lambda c: ORDER.index(c.direction))
    bad = [c for c in changes if c.direction == "weaker" and not c.covered and c.allow not in (allow or [])]
    chosen = "json" if as_json else format_
    if chosen == "json":
        print_json({"changes": [told(c, c in bad) for c in changes], "refused": len(bad)})
    elif chosen == "markdown":
        lines(markdown(changes, bad))
    elif chosen == "sarif":
        print_json(sarif(changes, bad, given[-1] if given else "everyhop.toml"))
    elif chosen == "text":
        show(changes, bad, allow or [])
    else:
        raise Misuse(f"--format is text, json, markdown or sarif, not {format_!r}")
    raise typer.Exit(1 if bad else 0)


@dataclass(frozen=True)
class Side:
    """One of the two plans, and the sites whose names had to be guessed for it."""

    plan: Plan
    guessed: tuple[str, ...] = ()
    config: Config | None = None
    """What is in no plan; `None` for what runs."""


def plan_of(path: Path, text: str | None = None, included: Texts | None = None) -> Side:
    compiled = compile_file(path, files="if-there", past_dates="close", text=text, included=included)
    return Side(compiled.plan, compiled.guessed, compiled.config)


def running(config: str) -> Side:
    supervisor = Client(config).ask("status").get("supervisor")
    assert isinstance(supervisor, dict)
    return Side(running_plan(supervisor["plan"]))


def unknown(old: Side, new: Side) -> list[Change]:
    """What cannot be compared here. Where nothing else changed either, there is nothing to compare."""
    if old.plan == new.plan:
        return []
    what = "its names are those of its certificate, which cannot be read here"
    so = "which names it takes cannot be told: write hosts = [...], or compare where the certificate is"
    return [Change("names-unknown", site, what, so) for site in sorted({*old.guessed, *new.guessed})]


def at_revision(path: Path, revision: str) -> Side:
    """The file as it was, compiled beside where it is now, so that relative paths mean the same, with what it included then."""
    text = by_git(path, revision, "show", f"{revision}:./{path.name}")
    patterns = read_document(path, text).values.get("include")
    if not isinstance(patterns, list) or not patterns:
        return plan_of(path, text)
    there = by_git(path, revision, "ls-tree", "-r", "-z", "--name-only", revision, "./").split("\0")
    names = [
        name for pattern in patterns for name in sorted(there) if shell_like(name, str(pattern)) and name != path.name
    ]
    return plan_of(path, text, {name: by_git(path, revision, "show", f"{revision}:./{name}") for name in names})


def by_git(path: Path, revision: str, *command: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(path.absolute().parent), *command], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Surroundings(f"git has no {path.name} at {revision!r}: {done.stderr.strip()}")
    return done.stdout


def shell_like(name: str, pattern: str) -> bool:
    """As a pattern finds files: no `*` reaches over a `/`."""
    parts, wanted = name.split("/"), os.path.normpath(pattern).split("/")
    return len(parts) == len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted))


def told(change: Change, bad: bool) -> dict[str, object]:
    return {
        "kind": change.kind,
        "about": change.about,
        "direction": change.direction,
        "what": change.what,
        "so": change.so,
        "covered_by_acceptance": change.covered,
        "refused": bad,
    }


def show(changes: list[Change], bad: list[Change], allowed: list[str]) -> None:
    if not changes:
        line("nothing changed in trust")
        return
    for change in changes:
        sign, shade = SIGNS[change.direction]
        note = "  (accepted)" if change.covered else "  (allowed)" if change.allow in allowed else ""
        text = f"{change.about}: {change.what}{note}  [{change.kind}]"
        first, *further = beside(f"{sign} ", text).split("\n")
        line(Paint(sign, shade), first.removeprefix(sign))
        for row in [*further, *beside("    so  ", change.so).split("\n")]:
            line(row)
    weaker = sum(c.direction == "weaker" for c in changes)
    stronger = sum(c.direction == "stronger" for c in changes)
    line()
    line(f"{weaker} weaker, {stronger} stronger, {len(bad)} not allowed")
    if bad:
        # One line, that can be pasted; a shell's word stays one whatever it holds.
        line("if they are meant: " + " ".join(f"--allow {shlex.quote(c.allow)}" for c in bad))


def markdown(changes: list[Change], bad: list[Change]) -> str:
    """A pull request comment."""
    if not changes:
        return "**Everyhop**: nothing changed in trust."

    def cell(text: str) -> str:
        """Names are the author's: what a page would take for markup is shown as it is."""
        marked = re.sub(r"([\\`*_\[\]()!#~|])", r"\\\1", printable(text))
        return marked.replace("&", "&amp;").replace("<", "&lt;").replace("\n", " ")

    out = [
        f"**Everyhop**: {len(bad)} change(s) that weaken trust and are not allowed"
        if bad
        else "**Everyhop**: changes in trust, all allowed",
        "",
    ]
    out += ["| | what | so | kind |", "|---|---|---|---|"]
    for c in changes:
        sign = {"weaker": ":red_circle:", "stronger": ":green_circle:", "neutral": ":white_circle:"}[c.direction]
        note = " (accepted)" if c.covered else ""
        out.append(f"| {sign} | **{cell(c.about)}**: {cell(c.what)}{note} | {cell(c.so)} | `{c.kind}` |")
    if bad:
        shown = " ".join(f"--allow {shlex.quote(c.allow)}" for c in bad).replace("`", "'")
        out += ["", f"If they are meant: `{shown}`"]
    return "\n".join(out)


def sarif(changes: list[Change], bad: list[Change], file: str) -> dict[str, object]:
    """SARIF 2.1.0, for code scanning."""
    results = [
        {
            "ruleId": c.kind,
            "level": "error" if c in bad else "warning" if c.direction == "weaker" else "note",
            "message": {"text": f"{c.about}: {c.what}; {c.so}"},
            "locations": [{"physicalLocation": {"artifactLocation": {"uri": file}, "region": {"startLine": 1}}}],
            "partialFingerprints": {"everyhop/v1": c.allow},
        }
        for c in changes
    ]
    rules = [{"id": kind, "shortDescription": {"text": text}} for kind, (_, text) in KINDS.items()]
    driver = {"name": "everyhop", "version": __version__, "rules": rules}
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }

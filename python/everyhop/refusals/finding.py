"""A finding and its two faces: five parts for people, always these and in this order, and JSON for programs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from everyhop.source.document import Place

Severity = Literal["refused", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One cause. `also` are second places of the same contradiction; `alike` counts further things it holds for."""

    severity: Severity
    slug: str
    place: Place
    what: str
    why: str
    mend: tuple[str, ...]
    also: tuple[Place, ...] = ()
    alike: int = 0
    kind: str = "things"
    said: tuple[str, ...] = ()
    """What it says and its mends with the thing's own names taken out: findings that say the same are told as one."""
    identity: tuple[str, ...] = ()
    """Its slug, the thing by its name, the key below it, and the value there or of a date which one: by this it is known
    again, not by its prose."""

    def is_of(self, kind: str, name: str) -> bool:
        """Whether it is about that thing, such as the route of that name."""
        return self.identity[1:3] == (kind, name)


def ordered(findings: list[Finding], *, strict: bool = False) -> list[Finding]:
    """All of them, refusals first, each in the order of the file. `strict`: warnings are refusals."""
    found = [replace(f, severity="refused") if strict and f.severity == "warning" else f for f in findings]
    return sorted(found, key=lambda f: (f.severity != "refused", f.severity != "warning", f.place))


def merged(findings: list[Finding], *, strict: bool = False) -> list[Finding]:
    """One cause is one finding: what is the same but for the name of the thing becomes the first and a count."""
    first: dict[tuple[str, ...], int] = {}
    out: list[Finding] = []
    for it in ordered(findings, strict=strict):
        cause = (it.slug, it.severity, *(it.said or (it.what, *it.mend)))
        if cause in first:
            at = first[cause]
            out[at] = replace(out[at], alike=out[at].alike + 1)
        else:
            first[cause] = len(out)
            out.append(it)
    return out


# A key that stands in the file, whichever form it has, and a line of a key's PEM: shown as so many stars.
_KEY = re.compile(r"""(\bkey["']?\s*[=:]\s*)(?!["']?(?:file|env|cred):)([^\s\[{][^,}]*)""")
_PEM = re.compile(r"""^\s*["']*([A-Za-z0-9+/=]{32,}|-----(?:BEGIN|END) .*)["',\s]*$""")


def masked(line: str) -> str:
    """`line` without the secret that stands in it, as long as before, so that marks below it still fit."""
    if _PEM.match(line):
        return "*" * len(line)
    return _KEY.sub(lambda m: m[1] + "*" * len(m[2]), line)


def excerpt(place: Place, texts: Mapping[str, str]) -> list[str]:
    lines = texts.get(place.file, "").splitlines()
    if not 1 <= place.line <= len(lines):
        return []
    number = f"{place.line:>5}"
    line = masked(lines[place.line - 1].expandtabs(1))
    marks = " " * (place.column - 1) + "^" * max(1, min(place.width, len(line) - place.column + 1))
    return [f"{number} | {line}", f"{' ' * len(number)} | {marks}"]


def render(findings: list[Finding], texts: Mapping[str, str]) -> str:
    """The text for people; `texts` are the files' contents by name."""
    out: list[str] = []
    for it in findings:
        out.append(f"{it.place}: {it.severity} [{it.slug}]")
        more = f" (and {it.alike} more {it.kind})" if it.alike else ""
        out.append(f"  what  {it.what}{more}")
        for place in (it.place, *it.also):
            out += [f"  {line}" for line in excerpt(place, texts)]
        out.append(f"  why   {it.why}")
        for index, mend in enumerate(it.mend):
            out.append(f"  {'mend  ' if index == 0 else '      or '}{mend}")
        out += [f"  more  everyhop explain {it.slug}", ""]
    return "\n".join(out)


def to_json(findings: list[Finding]) -> list[dict[str, object]]:
    def place(it: Place) -> dict[str, object]:
        return {"file": it.file, "line": it.line, "column": it.column}

    return [
        {
            "severity": it.severity,
            "slug": it.slug,
            **place(it.place),
            "also": [place(p) for p in it.also],
            "what": it.what,
            "why": it.why,
            "mend": list(it.mend),
            "alike": it.alike,
            "identity": list(it.identity),
        }
        for it in findings
    ]

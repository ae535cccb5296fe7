"""A finding and its two faces: five parts for people, always these and in this order, and JSON for programs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from everyhop.screen import beside, printable, wrapped
from everyhop.source.document import SECRETS, Place

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
    """Of what they are; `places` where all are in one thing."""
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
            kind = it.kind if it.identity[1:3] != out[at].identity[1:3] else "places"
            out[at] = replace(out[at], alike=out[at].alike + 1, kind=kind)
        else:
            first[cause] = len(out)
            out.append(it)
    return out


# A secret that stands in the file, whichever form it has, a line of a key's PEM, and who signs in by a URL: shown as so many stars.
_HELD = rf"""\b(?:{"|".join(SECRETS)})["']?\s*[=:]\s*"""
_KEY = re.compile(rf"""({_HELD})(?!["']?(?:file|env|cred):)([^\s\[{{][^,}}]*)""")
_LIST = re.compile(rf"""({_HELD}\[)(.*?)(?=\]\s*(?:[,}}#]|$)|$)""")
_ENTRY = re.compile(r"""(^\s*|,\s*)(?!["']?(?:file|env|cred):)([^\s,][^,]*)""")
# No secret: a key of a token, unless its PIN may stand in it.
_URI = re.compile(r"""pkcs11:(?:(?!pin(?!-source=)[\w%-]*=)[^"'\s,}])*(?=["'\s,}]|$)""", re.I)
_USER = re.compile(r"""(://)([^\s/"'@:]*:[^\s/"'@]*)(?=@)""")
_PEM = re.compile(r"""^\s*["']*([A-Za-z0-9+/=]{32,}|-----(?:BEGIN|END) .*)["',\s]*$""")


def masked(line: str) -> str:
    """`line` without the secret that stands in it, as long as before, so that marks below it still fit."""
    if _PEM.match(line):
        return "*" * len(line)
    uris = list(_URI.finditer(line))
    line = _URI.sub(lambda m: f"file:{'x' * (len(m[0]) - 5)}", line)
    line = _LIST.sub(lambda m: m[1] + _ENTRY.sub(starred, m[2]), line)
    for secret in (_KEY, _USER):
        line = secret.sub(starred, line)
    for uri in uris:
        line = line[: uri.start()] + uri[0] + line[uri.end() :]
    return line


def starred(it: re.Match[str]) -> str:
    return it[1] + "*" * len(it[2])


HELD = f"{SECRETS[0]} = "


def excerpt(place: Place, texts: Mapping[str, str], most: int | None = None) -> list[str]:
    """The line and marks below what is meant; of a line that does not fit, the part around it."""
    # As editors count: `splitlines` would begin a line at a mere form feed or U+2028, and show another one than is meant.
    rows = texts.get(place.file, "").removesuffix("\n").split("\n")
    if not place.shown or not 1 <= place.line <= len(rows) or rows == [""]:
        return []
    number = f"{place.line:>5}"
    row = masked(rows[place.line - 1].expandtabs(1))
    start = place.column - 1
    end = start + place.width
    if place.secret:
        row = row[:start] + masked(f"{HELD}{row[start:end]}")[len(HELD) :] + row[end:]
    before, marked, after = (printable(part) for part in (row[:start], row[start:end], row[end:]))
    if most is not None:
        before, marked, after = around(before, marked, after, most - len(f"  {number} | "))
    marks = " " * len(before) + "^" * max(1, len(marked))
    return [f"{number} | {before}{marked}{after}", f"{' ' * len(number)} | {marks}"]


CUT = "..."


def around(before: str, marked: str, after: str, room: int) -> tuple[str, str, str]:
    """As much of a line as there is room for: what is marked first, then what stands before it, then what follows."""
    if len(before) + len(marked) + len(after) <= room:
        return before, marked, after
    if len(marked) > room - 2 * len(CUT):
        marked = marked[: room - 3 * len(CUT)] + CUT
    left = room - len(marked) - len(CUT)
    if len(before) > left // 2:
        before = CUT + before[len(before) + len(CUT) - left // 2 :] if before else ""
    left -= len(before)
    return before, marked, after if len(after) <= left + len(CUT) else after[: max(left, 0)] + CUT


COMMAND = ": everyhop "


def part(head: str, text: str, most: int | None) -> list[str]:
    """One of the five parts, its further lines below its first. A command that does not fit stands on lines of its own
    and can still be pasted."""
    if most is None or len(head) + len(printable(text)) <= most:
        return [head + printable(text)]
    said, found, command = text.partition(COMMAND)
    if not found:
        return beside(head, text, most).split("\n")
    rows = beside(" " * len(head), f"everyhop {command}", most - 2).split("\n")
    return [*beside(head, f"{said}:", most).split("\n"), *(f"{row} \\" for row in rows[:-1]), rows[-1]]


def render(findings: list[Finding], texts: Mapping[str, str], most: int | None = None) -> str:
    """The text for people; `texts` are the files' contents by name, `most` is how wide it may be, if that is known."""
    out: list[str] = []
    for it in findings:
        head = f"{it.place}: {it.severity} [{it.slug}]"
        out += [printable(head)] if most is None else wrapped(head, 4, most=most).split("\n")
        more = f" (and {it.alike} more {it.kind})" if it.alike else ""
        out += part("  what  ", it.what + more, most)
        for place in (it.place, *it.also):
            out += [f"  {row}" for row in excerpt(place, texts, most)]
        out += part("  why   ", it.why, most)
        for index, mend in enumerate(it.mend):
            out += part("  mend  " if index == 0 else "        or ", mend, most)
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

"""Certificates that are renewed under a running plan, and dates that draw near.

Marks of files are those from before the files were read: a certificate that is swapped while it is read, or while the
engine is given what was read before, counts as changed. The configuration's own text is never read again here: an
edit that nobody asked for must not slip in with a certificate.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from pathlib import Path

from everyhop.admin.change import Identity
from everyhop.admin.telling import say
from everyhop.compile import Compiled, Material
from everyhop.compile.elsewhere import renew_elsewhere
from everyhop.errors import Refused
from everyhop.identity import Mark, mark_of
from everyhop.refusals import Finding, merged

DATES_S = 3600.0
AT_ONCE, LOOKS = 1000, 4
"""Files that each look asks for; of more, a part of all: a second, which is four looks, sees every one."""
KEPT_AT_ONCE, KEPT_LOOKS = 250, 40
"""The same of files that this supervisor writes itself, which are the certificates by ACME: it knows when it may have. That somebody else
puts one there is seen within ten seconds."""
LOOK_S = 0.2
"""Between two looks: a loop that turns more often, such as for someone who takes a long answer, does not look at files each time."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 300.0
"""Until what stood in the way of files that changed is tried again without another change, doubled each time: whatever it was, such as
descriptors that had run out, may be gone with nothing of it seen in the files."""


KINDS = {
    "site": "certificates",
    "identity": "certificates",
    "ca": "authorities",
    "crl": "revocation lists",
    "page": "pages",
    "issuer": "keys of issuers",
    "users": "users",
    "store": "passwords",
    "rules": "rules of a waf",
    "token": "keys in tokens",
}
"""What the material has, by the first word of its names."""


def what_changed(before: Material, now: Material) -> str:
    old, new = ({str(entry["id"]): entry for entry in one.entries} for one in (before, now))
    changed = [name for name in old.keys() | new.keys() if old.get(name) != new.get(name)]
    return " and ".join(sorted({KINDS.get(name.split("/")[0], "files") for name in changed})) or "files"


class Round:
    """Of files that are looked at one share after the other."""

    def __init__(self, paths: Sequence[Path], at_once: int, looks: int) -> None:
        self.paths, self.at_once, self.looks = paths, at_once, looks
        self.looked = self.hurried = 0

    def share(self) -> Sequence[Path]:
        """What the next look asks for."""
        least, looks = (AT_ONCE, LOOKS) if self.hurried else (self.at_once, self.looks)
        self.hurried = max(self.hurried - 1, 0)
        begin = self.looked if self.looked < len(self.paths) else 0
        self.looked = begin + max(least, -(-len(self.paths) // looks))
        return self.paths[begin : self.looked]

    def hasten(self) -> None:
        """For one round, wherever it begins."""
        self.hurried = LOOKS + 1


class Renewal:
    """Of `running`, which `follows` replaces. `now_s` is of a clock that nobody sets."""

    def __init__(self, running: Compiled, now_s: float) -> None:
        self.running = running
        self.watch(running)
        self.next_look = now_s
        self.told: set[Identity] = {f.identity for f in running.findings}
        self.next_dates = now_s + DATES_S
        self.well()

    def well(self) -> None:
        """What runs is what the files hold."""
        self.wrong: str | None = None
        """Why files that changed are not used; `None` where what runs is what they hold."""
        self.pause_s, self.next_try, self.tried_again = FIRST_PAUSE_S, math.inf, False

    def fails(self, why: str) -> bool:
        """Files that changed are not used; tried again at a look after a pause. False where just that was said already."""
        is_known = self.tried_again and why == self.wrong
        self.wrong = why
        self.pause_s = min(self.pause_s * 2, LONGEST_PAUSE_S) if self.tried_again else FIRST_PAUSE_S
        self.next_try = self.next_look + self.pause_s
        return not is_known

    def follows(self, compiled: Compiled) -> None:
        """It runs now; its findings were told."""
        self.running = compiled
        self.watch(compiled)
        self.well()
        self.told |= {f.identity for f in compiled.findings}

    def watch(self, compiled: Compiled) -> None:
        self.marks: dict[Path, Mark | None] = dict(compiled.watched)
        ours = compiled.issued()
        self.others = Round([path for path in self.marks if path not in ours], AT_ONCE, LOOKS)
        self.ours = Round([path for path in self.marks if path in ours], KEPT_AT_ONCE, KEPT_LOOKS)

    def hasten(self) -> None:
        """What we write ourselves may have changed: all of it is looked at as soon as any other files."""
        self.ours.hasten()

    def unused(self) -> list[Path]:
        """The files that are not as they were when what runs was read."""
        return [path for path, mark in self.marks.items() if mark != self.running.watched.get(path)]

    def forget(self) -> None:
        """All files count as changed at the next look."""
        self.marks = dict.fromkeys(self.marks)

    def is_due(self, now_s: float) -> bool:
        """True once for each look."""
        if now_s < self.next_look:
            return False
        self.next_look = now_s + LOOK_S
        self.tried_again = now_s >= self.next_try
        if self.tried_again:
            self.forget()
        return True

    def changed(self) -> bool:
        """True once for each change."""
        if all(mark_of(path) == self.marks[path] for path in (*self.others.share(), *self.ours.share())):
            return False
        self.marks = {path: mark_of(path) for path in self.marks}
        self.next_try = math.inf
        return True

    def read(self) -> Compiled | None:
        """What runs, with the certificates as they are now; `None` where they are the same or cannot be used."""
        try:
            found = again(self.running)
        except Refused as e:
            refused = [f for f in merged(e.findings) if f.severity == "refused"]
            mend = " or ".join(refused[0].mend)
            if self.fails(f"{refused[0].what} [{refused[0].slug}]"):
                say(f"files changed and cannot be used; the last good ones stay: {refused[0].what}; {mend}")
            return None
        self.marks = dict(found.watched)
        if found.material.digest == self.running.material.digest:
            self.well()
            return None
        return found

    def near(self, now_s: float) -> list[Finding]:
        """What ends in 30, 7 or 1 days and was not told yet: each once, not only at a reload. Asks every hour."""
        if now_s < self.next_dates:
            return []
        self.next_dates = now_s + DATES_S
        try:
            found = again(self.running).findings
        except Refused:
            return []  # `read` tells of files that cannot be used
        return self.untold(found)

    def untold(self, findings: list[Finding]) -> list[Finding]:
        """Those that nobody was told of yet; from now on they are."""
        fresh = [f for f in findings if f.identity not in self.told]
        self.told |= {f.identity for f in fresh}
        return fresh


def again(running: Compiled, now: dt.datetime | None = None) -> Compiled:
    """The text that runs, with the files and the date as they are now.

    Raises `Refused`.
    """
    return renew_elsewhere(running, now)

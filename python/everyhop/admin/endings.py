"""What will hurt if nobody does anything: certificates and fetched revocation lists that end soon, and chains that those who are shown them will refuse.

What is over already is told by `troubles.py`; what an authority refuses, by whoever asked it. Nothing is changed or said here.
Read next: `watch.py`, which says each stage once.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator

from everyhop.admin.troubles import moment, trouble
from everyhop.compile import Compiled
from everyhop.engine.messages import Trouble

DAYS = (1, 7, 30)
"""The stages, the worst first."""
DAY_S = 86_400
PART, PART_BY_ITSELF = 3, 6
"""The first stage of one that lasts for less than ninety days is a third of its life, and the others come sooner in the same measure. One
that an authority renews by itself is begun with at a third of its life, so that it is told half as long before its end."""
REFUSED = {
    "certificate/chain-incomplete",
    "certificate/chain-untrusted",
    "certificate/lasts-too-long",
    "certificate/wrong-use",
}
"""Warnings of what somebody will refuse."""


def stage(begins_s: int, ends_s: int, now_s: float, part: int) -> float | None:
    """Below how many seconds it is, of the stages; `None` while there is more time, and when it is over."""
    first_s = min(DAYS[-1] * DAY_S, (ends_s - begins_s) / part)
    left_s = ends_s - now_s
    return next((bound for n in DAYS if 0 < left_s <= (bound := first_s * n / DAYS[-1])), None)


def ending(running: Compiled, now: dt.datetime) -> list[Trouble]:
    """Certificates that nothing has taken the place of, and issuers of their chains."""
    found, now_s = [], now.timestamp()
    for about, id_, part in shown(running):
        life = running.material.lives[id_]
        whose, ends_s = (f"{life.issuer} of its chain", life.issuer_ends_s) if life.issuer else ("it", life.ends_s)
        if (below := stage(life.begins_s, ends_s, now_s, part)) is not None:
            why = f"{whose} ends at {moment(ends_s)}, in less than {span(below)}"
            found.append(trouble("certificate-ends-soon", about, why))
    return found


def lists_ending(running: Compiled, now: dt.datetime) -> list[Trouble]:
    """Revocation lists of URLs: a new one is asked for at half of the time that is left, and again and again."""
    found = []
    for url in running.lists:
        life = running.material.lives.get(f"crl/{url}")
        if life is None or (below := stage(life.begins_s, life.ends_s, now.timestamp(), PART_BY_ITSELF)) is None:
            continue
        found.append(
            trouble("revocation-ends-soon", url, f"it ends at {moment(life.ends_s)}, in less than {span(below)}")
        )
    return found


def span(seconds: float) -> str:
    """It stays the same until the next stage, so that each is said once."""
    for unit, word in ((DAY_S, "day"), (3600, "hour")):
        if seconds >= unit:
            n = math.ceil(seconds / unit)
            return f"{n} {word}{'s' if n > 1 else ''}"
    return "an hour"


def doubted(running: Compiled, now: dt.datetime) -> list[Trouble]:
    """Chains that will be refused, as compiling warned of them, or as time made them."""
    by: dict[str, list[str]] = {}
    for it in running.findings:
        if it.slug in REFUSED:
            whose, _, what = it.what.partition(": ")
            by.setdefault(whose.replace("'", ""), []).append(what or it.what)
    now_s = now.timestamp()
    for about, id_, _ in shown(running):
        life = running.material.lives[id_]
        if life.issuer and life.issuer_ends_s <= now_s < life.ends_s:
            what = f"{life.issuer} of its chain ended at {moment(life.issuer_ends_s)}"
            if not any(life.issuer in told for told in by.get(about, ())):
                by.setdefault(about, []).append(what)
    return [trouble("certificate-doubted", about, "; ".join(whats)) for about, whats in sorted(by.items())]


def shown(running: Compiled) -> list[tuple[str, str, int]]:
    """Whose it is, its id, and which part of its life is its first stage. Found once for what runs: this is asked each second, and
    there may be ten thousand sites."""
    if not LAST or LAST[0][0] is not running:
        LAST[:] = [(running, list(each(running)))]
    return LAST[0][1]


LAST: list[tuple[Compiled, list[tuple[str, str, int]]]] = []
"""What was asked of last; one or none."""


def each(running: Compiled) -> Iterator[tuple[str, str, int]]:
    by: dict[str, list[str]] = {}
    for id_ in sorted(running.material.lives):
        by.setdefault(id_.rpartition("/")[0], []).append(id_)
    for site in running.config.site:
        part = PART_BY_ITSELF if site.is_by_acme else PART
        for id_ in by.get(f"site/{site.name}", ()):
            yield f"site {site.name}", id_, part
    for identity in running.config.identity:
        if (id_ := f"identity/{identity.name}") in running.material.lives:
            yield f"identity {identity.name}", id_, PART

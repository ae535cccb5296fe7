"""What will hurt if nobody does anything: certificates and fetched revocation lists that end soon, and chains that those who are shown them will refuse.

What is over already is told by `troubles.py`; what an authority refuses, by whoever asked it. Nothing is changed or said here.
Read next: `foreseen.py`, which asks when the next moment has come.
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


def stages(begins_s: int, ends_s: int, part: int) -> list[float]:
    """How many seconds before its end each begins, the worst first."""
    first_s = min(DAYS[-1] * DAY_S, (ends_s - begins_s) / part)
    return [first_s * n / DAYS[-1] for n in DAYS]


def stage(begins_s: int, ends_s: int, now_s: float, part: int) -> float | None:
    """Below how many seconds it is, of the stages; `None` while there is more time, and when it is over."""
    left_s = ends_s - now_s
    if left_s <= 0:
        return None
    return next((bound for bound in stages(begins_s, ends_s, part) if left_s <= bound), None)


def moments(running: Compiled) -> Iterator[int]:
    """Every second at which something of this module says another word, or `troubles.over` does."""
    for entry in running.material.entries:
        if isinstance(end := entry["not_after_s"], int):
            yield end
    lives = running.material.lives
    for _, id_, part in shown(running):
        life = lives[id_]
        yield life.ends_s
        yield from begun(life.begins_s, life.issuer_ends_s if life.issuer else life.ends_s, part)
    for url in running.lists:
        if (life_ := lives.get(f"crl/{url}")) is not None:
            yield from begun(life_.begins_s, life_.ends_s, PART_BY_ITSELF)


def begun(begins_s: int, ends_s: int, part: int) -> list[int]:
    """When each stage begins, and when the last is over: in whole seconds, the first in which so little is left."""
    return [ends_s, *(ends_s - math.floor(bound) for bound in stages(begins_s, ends_s, part))]


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


def shown(running: Compiled) -> Iterator[tuple[str, str, int]]:
    """Whose it is, its id, and which part of its life is its first stage."""
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

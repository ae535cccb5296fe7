"""What rules found, out of an access log, and how one that was mistaken is taken back. Read next: `families.py`."""

from __future__ import annotations

import datetime as dt
import json
import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from everyhop.waf.families import is_sum, looks_for

HALF_A_YEAR = dt.timedelta(days=180)
ARGUMENT = re.compile(r"ARGS(?:_GET|_POST)?:([A-Za-z0-9._\[\]:$-]+)\Z")


@dataclass(frozen=True)
class Found:
    """A request that rules denied, or would have."""

    id: str
    route: str
    by: str
    verdict: str
    score: int | None
    method: str
    host: str
    path: str
    rules: tuple[tuple[int, str], ...]
    """Numbers, each with the part of the request in which it matched."""

    @property
    def told(self) -> list[str]:
        """A line each."""
        head = f"request {self.id}: {self.method} {self.host}{self.path}: {self.verdict}, score {self.score}, by waf {self.by} of route {self.route}"
        return [head, *(f"  {rule} on {on}: {looks_for(rule)}" for rule, on in self.rules)]

    def taken_back(self, today: dt.date) -> list[str]:
        """Exclusions to write, as narrow as can be, one a rule; somebody has to put a name to each."""
        return list(dict.fromkeys(exclusion(rule, on, self.path, today) for rule, on in self.rules if not is_sum(rule)))


def exclusion(rule: int, on: str, path: str, today: dt.date) -> str:
    """`path`: as it came; one that is not its own decoded form is left out, and to be written by hand."""
    is_plain = re.fullmatch(r"/[A-Za-z0-9._~/-]+", path) and posixpath.normpath(path) == path.rstrip("/")
    where = f', path = "{path}"' if is_plain else ""
    which = f', argument = "{found[1]}"' if (found := ARGUMENT.match(on)) else ""
    word = f'owner = "NAME", why = "TEXT", since = {today}, until = {today + HALF_A_YEAR}'
    return f"{{ rule = {rule}{where}{which}, {word} }}"


def in_log(lines: Iterable[str]) -> Iterator[Found]:
    """Lines of other forms, and of requests that no rule denied, are passed over."""
    for text in lines:
        if '"waf":{' not in text:
            continue
        try:
            it = json.loads(text)
        except ValueError:
            continue  # the last one may not be whole yet
        waf = it.get("waf") if isinstance(it, dict) else None
        if not isinstance(waf, dict) or waf.get("verdict") not in ("denied", "would-deny"):
            continue
        yield Found(
            id=str(it.get("id")),
            route=str(it.get("route")),
            by=str(waf.get("by")),
            verdict=str(waf["verdict"]),
            score=waf.get("score"),
            method=str(it.get("method")),
            host=str(it.get("host")),
            path=str(it.get("path")),
            rules=tuple((int(one["rule"]), str(one["on"])) for one in waf.get("rules", [])),
        )


def counted(found: Iterable[Found]) -> list[tuple[int, int, str, str, str]]:
    """How often each rule matched in the same part at the same path, with an id by which one of them is found; the most first."""
    times: Counter[tuple[int, str, str]] = Counter()
    last: dict[tuple[int, str, str], str] = {}
    for it in found:
        for rule, on in it.rules:
            if not is_sum(rule):
                key = (rule, on, f"{it.host}{it.path}")
                times[key] += 1
                last[key] = it.id
    return [(n, rule, on, at, last[rule, on, at]) for (rule, on, at), n in times.most_common()]

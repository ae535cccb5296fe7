"""What is written down of a route's requests, and whether that became less: of the file as a whole, and of a route that has a log
of its own. Another file is no change of trust, unless no line stays there."""

from __future__ import annotations

from dataclasses import dataclass

from everyhop.diff.kinds import Change, either
from everyhop.model.log import HEADER, LINE
from everyhop.plan import NOWHERE, InCombined, LogForm, OwnLog, Plan, Quiet, Route

KINDS_OF = ("evidence-weakened", "evidence-strengthened")
COMBINED = (
    *("time", "client", "method", "path", "protocol", "status", "bytes_out"),
    *(f"{HEADER}referer", f"{HEADER}user-agent"),
)
NONE, FAILED, ALL = range(3)
WORDS = ("leaves no line", "leaves a line only where something was refused or failed", "leaves a line")


@dataclass(frozen=True)
class Lines:
    """How much leaves one, and what it says."""

    of: int
    says: tuple[str, ...]


def says(form: LogForm) -> tuple[str, ...]:
    if isinstance(form, InCombined):
        return COMBINED
    return LINE if form.fields is None else tuple(form.fields)


def lines(plan: Plan, route: Route | None = None) -> Lines:
    """Of a route, or of what reaches none."""
    it = plan.log if route is None or not isinstance(route.log, OwnLog) else route.log
    place = it.access.place
    if place is None or place in NOWHERE:
        return Lines(NONE, ())
    return Lines(FAILED if route is not None and isinstance(route.log, Quiet) else ALL, says(it.form))


def told(about: str, was: Lines, now: Lines) -> list[Change]:
    """What a line says that it did not, or no more."""
    if was.of == NONE or now.of == NONE:
        return []
    less = [name for name in was.says if name not in now.says]
    more = [name for name in now.says if name not in was.says]
    out = []
    if less:
        what = f"lines of the access log say no more: {', '.join(less)}"
        out.append(Change(KINDS_OF[0], about, what, "it cannot be looked up afterwards"))
    if more:
        what = f"lines of the access log say besides: {', '.join(more)}"
        out.append(Change(KINDS_OF[1], about, what, "it can be looked up afterwards"))
    return out


def route_lines(name: str, old: tuple[Plan, Route], new: tuple[Plan, Route]) -> list[Change]:
    """Where neither route has a log of its own, the file's is told as that."""
    if old[1].log is None and new[1].log is None:
        return []
    was, now = lines(*old), lines(*new)
    if was.of != now.of:
        what = f"what goes there {WORDS[was.of].replace('leaves', 'left')}, and now {WORDS[now.of]}"
        so = ("nobody can say afterwards what happened", "what happens is written down")
        return [either(now.of < was.of, KINDS_OF, name, what, so), *told(name, was, now)]
    return told(name, was, now)

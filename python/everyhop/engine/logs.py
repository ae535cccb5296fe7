"""The access log's files: opened here and handed to the engine, which opens none."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping

from everyhop.errors import Surroundings
from everyhop.plan import STDOUT, Plan


class CannotOpen(Surroundings):
    """A place where no line can be written."""

    def __init__(self, place: str, why: str) -> None:
        super().__init__(f"cannot write the access log {place}: {why}")
        self.place, self.why = place, why


def open_logs(plan: Plan) -> dict[str, int]:
    """A descriptor for each place that the plan names, all or none; the caller owns them.

    Raises `CannotOpen`.
    """
    found, wrong = open_each(plan)
    if wrong:
        close(found)
        raise wrong[0]
    return found


def open_each(plan: Plan) -> tuple[dict[str, int], list[CannotOpen]]:
    """As `open_logs`, of those that can be opened, and what is wrong with the others."""
    found: dict[str, int] = {}
    wrong: list[CannotOpen] = []
    for place in plan.log_places:
        try:
            found[place] = open_log(place)
        except CannotOpen as e:
            wrong.append(e)
    return found, wrong


def open_log(place: str) -> int:
    try:
        if place == STDOUT:
            return os.dup(1)
        # A pipe without a reader is refused by the system, instead of waited for.
        fd = os.open(place, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o640)
        os.set_blocking(fd, True)
        return fd
    except OSError as e:
        raise CannotOpen(place, e.strerror or str(e)) from e
    except ValueError as e:
        raise CannotOpen(place, str(e)) from e  # a name that no file can have


def close(fds: Mapping[str, int]) -> None:
    for fd in fds.values():
        with contextlib.suppress(OSError):
            os.close(fd)

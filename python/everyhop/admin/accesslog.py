"""The access log's descriptors, as they were opened last, by their places. The next engine goes on with one where it cannot be
opened any more: a folder that is wrong costs the next lines their new place, not the clients their service."""

from __future__ import annotations

import os
from collections.abc import Mapping

from everyhop.admin.telling import say
from everyhop.compile import Compiled
from everyhop.engine.logs import CannotOpen, open_each
from everyhop.plan import Plan


class AccessLog:
    """Holds a descriptor for each place, or none: for no log, or for one that only an engine before us holds."""

    def __init__(self) -> None:
        self.fds: dict[str, int] = {}
        self.wrong: dict[str, str] = {}
        """By place: why it could not be opened anew when that was asked for last."""

    def keep(self, fds: Mapping[str, int]) -> None:
        """Those are open now; they are ours."""
        for place, fd in fds.items():
            before = self.fds.get(place)
            if before is not None and before != fd:
                os.close(before)
            self.fds[place] = fd
            self.wrong.pop(place, None)

    def only(self, plan: Plan) -> None:
        """No more than the plan names."""
        named = set(plan.log_places)
        for place in [it for it in self.fds if it not in named]:
            os.close(self.fds.pop(place))
        self.wrong = {place: why for place, why in self.wrong.items() if place in named}

    def anew(self, plan: Plan) -> tuple[dict[str, int], list[CannotOpen]]:
        """Descriptors, opened now, which the caller owns, and what could not be opened; what is open there goes on."""
        fds, wrong = open_each(plan)
        self.wrong = {it.place: str(it) for it in wrong}
        return fds, wrong

    def opened(self, running: Compiled) -> dict[str, int]:
        """All of it, anew; as it was, where that cannot be."""
        fds, wrong = self.anew(running.plan)
        self.keep(fds)
        for it in wrong:
            so = "the log that was open goes on" if it.place in self.fds else "lines go nowhere"
            say(f"{it}; {so}")
        return self.fds

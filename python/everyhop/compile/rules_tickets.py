"""Rules about keys of tickets that edges share: the secret stands elsewhere, and the keys change. What stands in its file is judged
by `ticket_keys.py`."""

from __future__ import annotations

from everyhop.compile.ticket_keys import HOURS, hours, sources
from everyhop.compile.world import World


def judge(world: World) -> None:
    it = world.config.tickets
    if it is None:
        return
    given = sources(it)
    for i, source in enumerate(given):
        key = ("tickets", "key") if isinstance(it.key, str) else ("tickets", "key", i)
        if not source.startswith(("file:", "env:", "cred:")):
            what = "the secret of ticket keys stands in the configuration, or is a path without file: before it"
            world.refuse("secret/inline", key, what, 'key = "file:/etc/everyhop/tickets.key"')
        elif source in given[:i]:
            world.refuse("tickets/key", key, f"{source} stands there twice", "name each secret once")
    if not 1 <= len(given) <= 2:
        what = f"there are {len(given)} secrets of ticket keys"
        mend = "the new one first, then the one before, for as long as its tickets last; one otherwise"
        world.refuse("tickets/key", ("tickets", "key"), what, mend)
    if hours(it.rotate) is None:
        what = f'rotate = "{it.rotate}" is no number of hours from {HOURS[0]} to {HOURS[1]}'
        world.refuse("tickets/rotate", ("tickets", "rotate"), what, 'rotate = "12h"')
    if not world.config.site:
        what = "no site ends TLS here, so that nobody is given a ticket"
        world.warn("tickets/unused", ("tickets", "key"), what, "remove [tickets]", of_key=True)

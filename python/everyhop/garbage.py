"""When the collector of garbage looks for what nobody needs: not while much is made that stays, nor again and again through what stays.

A plan of ten thousand sites is millions of objects that hold each other in no circle: they are let go by themselves, and looking
through them took more than half of the time of whatever was done beside them. Never lets anything go itself that is in use.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """What a plan is made of is kept, so looking through it for garbage again and again finds none: it took a third of the
    time of a reload of 5,000 sites."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def stays(*, after_another: bool = False) -> None:
    """What is there now is looked through no more: what runs, and what was imported. `after_another`: something else ran before, and
    what it left behind in circles is let go first. Said before the collector is on again, it spares its first look."""
    if after_another:
        gc.collect()
    gc.freeze()

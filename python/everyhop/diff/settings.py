"""What stands in the file and in no plan, because it concerns the supervisor: whom the engine becomes, where orders are
taken, and who issues certificates. What runs is not asked for it. Read next: `whole.py`."""

from __future__ import annotations

from everyhop.diff.issuers import issuer_changes
from everyhop.diff.kinds import KINDS, Change
from everyhop.model import Config

KINDS.update(
    {
        "user-changed": ("weaker", "the engine becomes another user"),
        "user-lowered": ("stronger", "the engine becomes nobody"),
        "control-moved": ("weaker", "orders are taken at another place"),
    }
)

NOBODY = "nobody"
"""Whom the engine becomes where nobody is named."""


def settings_changes(old: Config, new: Config) -> list[Change]:
    out = []
    was, now = old.engine.user or NOBODY, new.engine.user or NOBODY
    if was != now:
        what = f"started by root, the engine became {was!r}, now {now!r}"
        so = "whoever takes the engine has what that user may do"
        out.append(Change("user-lowered" if now == NOBODY else "user-changed", "engine", what, so))
    if old.admin.socket != new.admin.socket:
        what = f"orders were taken at {old.admin.socket or 'the usual socket'}, now at {new.admin.socket or 'the usual one'}"
        out.append(Change("control-moved", "admin", what, "whoever owns that folder can stand in for the supervisor"))
    return [*out, *issuer_changes(old, new)]

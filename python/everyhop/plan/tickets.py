"""Keys of session tickets that edges share: as `crates/plan/src/tickets.rs` has it."""

from __future__ import annotations

from everyhop.plan.part import Part
from everyhop.plan.told import Always


class Tickets(Part):
    """The first secret's keys seal, those of all open."""

    keys: Always[list[str]]
    rotate_s: Always[int]

"""Names and passwords that a route asks for: who has them, and how they are asked for. Read next: `route.py`."""

from __future__ import annotations

from everyhop.plan.part import Part
from everyhop.plan.told import Always, Never


class Basic(Part):
    file: Always[str]
    names: Always[list[str] | None]  # `None`: the file was not read, and the plan is not one to run
    realm: Never[str | None]
    strip: Always[bool]

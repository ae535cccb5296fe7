"""Rules that requests are inspected by: as `crates/plan/src/waf.rs` has it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from everyhop.plan.authorizer import WhenDownPass, WhenDownRefuse
from everyhop.plan.part import Part
from everyhop.plan.told import ByEffect, Never


class Exclusion(Part):
    rule: ByEffect[int]
    path: ByEffect[str]
    argument: ByEffect[str]
    owner: ByEffect[str]
    why: Never[str]
    until: Never[str]  # the text for people; the moment is what counts
    closes_at_s: ByEffect[int]

    @property
    def of(self) -> str:
        """What it takes back, in words."""
        where = f" below {self.path}" if self.path else ""
        return f"rule {self.rule}{where}" + (f", of argument {self.argument}" if self.argument else "")


class Waf(Part):
    """Each of it counts where a route names it."""

    name: Never[str]
    mode: ByEffect[Literal["block", "detect"]]
    paranoia: ByEffect[int]
    extra: ByEffect[list[str]]
    exclude: ByEffect[list[Exclusion]]
    body_bytes: ByEffect[int]
    over_body: ByEffect[Literal["refuse", "pass-inspected"]]
    when_down: ByEffect[Annotated[WhenDownRefuse | WhenDownPass, Field(discriminator="kind")]]
    deadline_ms: Never[int]
    at_once: Never[int]

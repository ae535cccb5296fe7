"""Who is told of requests, and of which: as `crates/plan/src/collector.rs` has it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from everyhop.plan.hop import Backend
from everyhop.plan.part import Part
from everyhop.plan.told import Always, ByEffect, Never


class Collector(Part):
    name: Never[str]
    under: Never[str]
    backends: ByEffect[list[Backend]]  # where the plan's traces go to it


class Attribute(Part):
    name: Never[str]
    value: Never[str]


class Traces(Part):
    collector: ByEffect[str]  # who is behind the name counts
    ppm: Never[int]
    slow_ms: Never[int]
    service: Never[str]
    resource: Never[list[Attribute]]
    query: Always[bool]


class TracedAsFile(Part):
    kind: Literal["as_file"]


class TracedNever(Part):
    kind: Literal["never"]


class TracedShare(Part):
    kind: Literal["share"]
    ppm: Never[Annotated[int, Field(ge=0, le=1_000_000)]]


Traced = Annotated[TracedAsFile | TracedNever | TracedShare, Field(discriminator="kind")]

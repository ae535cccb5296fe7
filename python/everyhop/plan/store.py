"""Stores in which edges count together: as `crates/plan/src/store.rs` has it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from everyhop.plan.hop import Backend
from everyhop.plan.part import Part
from everyhop.plan.told import Always, ByEffect, Never


class StoreRedis(Part):
    kind: Literal["redis"]


class StoreEnvoy(Part):
    kind: Literal["envoy"]
    domain: ByEffect[str]  # as `speaks`


class Store(Part):
    name: Never[str]
    # Where some limit is counted there: who says how many pass.
    speaks: ByEffect[Annotated[StoreRedis | StoreEnvoy, Field(discriminator="kind")]]
    backends: ByEffect[list[Backend]]  # where some limit is counted there
    user: Never[str | None]
    password: Never[str | None]
    database: ByEffect[int]  # as `speaks`: who counts together


class Shared(Part):
    store: ByEffect[str]  # who is behind the name counts
    when_down: Always[Literal["local", "refuse"]]

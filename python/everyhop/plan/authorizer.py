"""Who is asked whether requests may pass, and what it is told: as `crates/plan/src/authorizer.rs` has it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from everyhop.plan.hop import Backend
from everyhop.plan.part import Part
from everyhop.plan.told import ByEffect, Never


class PassAcceptance(Part):
    owner: ByEffect[str]
    why: Never[str]
    since: Never[str]
    until: Never[str]  # the text for people; the moment is what counts
    closes_at_s: ByEffect[int]


class WhenDownRefuse(Part):
    kind: Literal["refuse"]


class WhenDownPass(Part):
    kind: Literal["pass"]
    acceptance: ByEffect[PassAcceptance]


class SpeaksHttp(Part):
    kind: Literal["http"]
    target: ByEffect[str]


class SpeaksEnvoy(Part):
    kind: Literal["envoy"]


class Authorizer(Part):
    """Each of it counts where a route asks it."""

    name: Never[str]
    speaks: ByEffect[Annotated[SpeaksHttp | SpeaksEnvoy, Field(discriminator="kind")]]
    sends: ByEffect[list[str]]
    takes: ByEffect[list[str]]
    when_down: ByEffect[Annotated[WhenDownRefuse | WhenDownPass, Field(discriminator="kind")]]
    deadline_ms: Never[int]
    at_once: Never[int]
    backends: ByEffect[list[Backend]]

"""What the edge asks a route's backends by itself: over the hop that requests take, so that nothing of it moves trust."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from everyhop.plan.part import Part
from everyhop.plan.told import Never


class AsksConnect(Part):
    kind: Literal["connect"]


class Statuses(Part):
    first: Never[int]
    last: Never[int]


class AsksHttp(Part):
    kind: Literal["http"]
    host: Never[str]
    path: Never[str]
    statuses: Never[list[Statuses]]
    body: Never[str | None]


class AsksGrpc(Part):
    kind: Literal["grpc"]
    host: Never[str]
    service: Never[str]


class HealthCheck(Part):
    asks: Never[Annotated[AsksConnect | AsksHttp | AsksGrpc, Field(discriminator="kind")]]
    every_s: Never[int]
    timeout_s: Never[int]
    down_after: Never[int]
    up_after: Never[int]

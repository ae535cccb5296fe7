"""How a route's backends share what comes, where it says more than that they take turns alike."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from everyhop.plan.health import HealthCheck
from everyhop.plan.part import Part
from everyhop.plan.told import Never


class ByTurns(Part):
    kind: Literal["turns"]


class ByLeast(Part):
    kind: Literal["least"]


class ByClientAddress(Part):
    kind: Literal["client_address"]


class ByHeader(Part):
    kind: Literal["header"]
    name: Never[str]


class ByCookie(Part):
    kind: Literal["cookie"]
    name: Never[str]


class ByPath(Part):
    kind: Literal["path"]


class Share(Part):
    weight: Never[Annotated[int, Field(ge=0, le=65_535)]]
    backup: Never[bool]
    zone: Never[str | None]


class Sticky(Part):
    cookie: Never[str]


class Spread(Part):
    """How backends share what comes; who may have it stands in `backends`, and that alone is trust."""

    by: Never[
        Annotated[ByTurns | ByLeast | ByClientAddress | ByHeader | ByCookie | ByPath, Field(discriminator="kind")]
    ]
    shares: Never[list[Share]]  # one for each backend, in their order
    sticky: Never[Sticky | None]
    health: Never[HealthCheck | None]
    slow_start_s: Never[int]

"""Who is told of requests, and what: a collector of telemetry, which is a hop as one to a backend, and the traces that go there."""

from typing import Annotated

from pydantic import Field

from everyhop.model.base import Section
from everyhop.model.side import Side

Ratio = Annotated[float, Field(ge=0, le=1)]


class Collector(Side):
    """`[[collector]]`: takes OTLP by HTTP, as an OpenTelemetry Collector does. The hop to it is as that to a backend: nothing goes there before it proved who it is."""

    path: str = ""
    """What stands before `/v1/traces`, such as `/otlp`."""


class Traces(Section):
    """`[traces]`: requests become spans, one for each and one for each try at a backend. Backends are told which trace a request is part of (W3C Trace Context), with that try as the parent."""

    collector: str
    """The name of the `[[collector]]` that they are sent to."""
    ratio: Ratio = 0.01
    """Of requests that nobody in front has decided about, how many are kept: `0.01` is one in a hundred. Always kept, whatever it says: those that failed, were refused, were slow, or went otherwise than decided. `believe = ["trace-context"]` says whose word counts."""
    slow_s: Annotated[float, Field(gt=0, le=3600)] = 5.0
    """After how long without an answer having begun a request is slow."""
    service: Annotated[str, Field(min_length=1, max_length=255)] = "everyhop"
    """`service.name`, by which tools list it."""
    attributes: dict[str, str] = {}
    """What else is said of this edge, such as `{ "deployment.environment.name" = "production" }` (attributes of OpenTelemetry's resource)."""
    query: bool = False
    """Whether query strings are sent as well: what stands there may be a secret."""

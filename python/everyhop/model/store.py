"""A store in which several edges count together. Read next: `limit.py`, which names it."""

from typing import Annotated, Literal

from pydantic import Field

from everyhop.model.side import Side


class Store(Side):
    """`[[store]]`: a Valkey or Redis, or a service of Envoy's rate limits, in which edges count limits together. The hop to it is as that to a backend: nothing goes there before it proved who it is."""

    speaks: Literal["redis", "envoy"] = "redis"
    """In which words it is asked. `redis`: those of Valkey and Redis, by which some requests at a time are leased. `envoy`: by a call of gRPC over HTTP/2 for each request, `envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit`, as services written for Envoy's global rate limits answer; its own configuration says how many pass."""
    domain: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """Of a store that `speaks = "envoy"`: the domain of its configuration in which limits are looked for; default `everyhop`."""
    user: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """As whom it is spoken to (`AUTH`, with `password`); default: its default user."""
    password: str | None = None
    """`file:PATH`, `env:NAME` or `cred:NAME` (systemd); never the password itself."""
    database: Annotated[int, Field(ge=0, le=1023)] = 0
    """The number of its database."""

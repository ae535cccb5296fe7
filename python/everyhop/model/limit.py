"""How many requests of one kind routes take in a time, and at once. Read next: `compile/limiters.py`."""

from typing import Annotated, Literal

from pydantic import Field

from everyhop.model.base import Section
from everyhop.model.limits import Positive


class Limit(Section):
    """`[[limit]]`: named by `limited_by` of routes. At least one of `rate` and `at_once`; what is beyond it is answered 429 and reaches no backend."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    """Letters, digits, `.`, `_` and `-`: clients are told it."""
    rate: str | None = None
    """So many in a second, minute, hour or day: `"100/s"`, `"5/m"`, `"1000/h"`, `"10000/d"`. They are earned one by one, not all at the turn of the minute."""
    burst: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """How many may come at a time where none came before; default: the number of `rate`."""
    at_once: Positive | None = None
    """Requests under way at once; a WebSocket is one until it ends."""
    by: list[str] = ["client-address"]
    """What tells one kind from another: `client-address`, `client-name` (of its verified certificate), `host`, `route`, `header:NAME`, `cookie:NAME`, `claim:NAME` (of the token that the route asks for), `user` (the name that comes with the password that it asks for); several make one key, and `[]` counts all together. Requests that lack one of them share a key: nobody passes by leaving it out."""
    ipv6_prefix: Annotated[int, Field(ge=16, le=128)] | None = None
    """Bits of an IPv6 address that count, since who has one address of a network has all; default: `limits.source_ipv6_prefix`."""
    keys: Annotated[int, Field(ge=1_000, le=10_000_000)] = 100_000
    """Keys that are remembered at a time, 16 bytes each. Where more come, those are forgotten first that have used least."""
    store: str | None = None
    """The `[[store]]` in which all edges that name it count together; without it each edge counts by itself. An edge asks for some requests at a time, one in a hundred of `burst`, and holds no request for more than 20 ms."""
    when_store_down: Literal["local", "refuse"] = "local"
    """While the store does not answer: `local`, each edge counts by itself; `refuse`, what the store was not asked of is answered 503."""
    mode: Literal["refuse", "observe"] = "refuse"
    """`observe`: what is beyond it passes, and is counted and logged, so that a limit can be tried on what really comes."""
    tells: Literal["refusals", "answers"] = "refusals"
    """Which answers say what is left, in `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers): those that refuse, or all."""
    x_ratelimit: bool = False
    """They say it in `X-RateLimit-Limit`, `-Remaining` and `-Reset` (in seconds) too, for clients that know no other."""

"""When a request that a backend did not answer well goes to another one."""

from typing import Annotated, Literal

from pydantic import Field

from everyhop.model.base import Section
from everyhop.model.limits import Positive

Status = Literal[502, 503, 504]


class Retries(Section):
    """Only of `GET` and `HEAD` without a body, and only to another backend that is up; a request that no backend can have acted on, since none took the connection, goes again in any case."""

    attempts: Annotated[int, Field(ge=2, le=5)] = 2
    """How often it is sent in all."""
    on: list[Status] = [502, 503, 504]
    """After which answers of a backend; where nobody else is asked, the answer goes on as any other."""
    per_try_s: Positive | None = None
    """After this time without the beginning of an answer another backend is asked; the last one has `limits.first_byte_s`."""
    budget_percent: Annotated[int, Field(ge=1, le=100)] = 20
    """Of all requests of the route that are under way, so many in a hundred may be such that were sent again, and three at least: beyond it the answer goes on. A backend that fails because it has too much to do is not given more."""

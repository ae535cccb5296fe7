"""A store in which several edges count together. Read next: `limit.py`, which names it."""

from typing import Annotated

from pydantic import Field

from everyhop.model.side import Side


class Store(Side):
    """`[[store]]`: a Valkey or Redis in which edges count limits together. The hop to it is as that to a backend: nothing goes there before it proved who it is."""

    user: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """As whom it is spoken to (`AUTH`, with `password`); default: its default user."""
    password: str | None = None
    """`file:PATH`, `env:NAME` or `cred:NAME` (systemd); never the password itself."""
    database: Annotated[int, Field(ge=0, le=1023)] = 0
    """The number of its database."""

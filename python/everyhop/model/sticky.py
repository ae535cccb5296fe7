"""By what a client comes back to the backend that it had."""

from typing import Annotated

from pydantic import Field

from everyhop.model.base import Section


class Sticky(Section):
    """A cookie of the edge's own; who has none, or one that is not of this edge, goes where `balance` says."""

    cookie: Annotated[str, Field(min_length=1, max_length=64)]
    """Its name, before which `__Host-` is put: browsers then keep it for this host and https alone."""

"""A person's word for what crosses a network in the clear: behind a route, or in front of a listener."""

import datetime as dt
from typing import Annotated

from pydantic import Field

from everyhop.model.base import Section
from everyhop.model.words import Context


class Acceptance(Section):
    """A person's recorded, expiring agreement to plaintext: behind the edge for a route, in front of it for a listener with `serve`."""

    owner: Annotated[str, Field(min_length=1)]
    """Who answers for it: a person or a team that can be reached."""
    why: Annotated[str, Field(min_length=1)]
    context: Context
    since: dt.date
    until: dt.datetime | dt.date
    """Ends at 24:00 UTC of that day, or at that moment; at most a year after `since`."""

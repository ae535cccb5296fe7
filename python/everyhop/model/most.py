"""How much a route takes at once, so that a slow backend does not take the edge's memory and its own last strength."""

from everyhop.model.base import Section
from everyhop.model.limits import Count, Positive


class Most(Section):
    """Circuit breaking: what is over it is told so at once, with 503 and `Retry-After`."""

    requests: Positive
    """Requests under way at once, all backends and threads together; a WebSocket is one until it ends."""
    waiting: Count = 0
    """Requests beyond that which wait for their turn, first come, first served."""
    wait_s: Positive = 5
    """How long one waits at most."""

"""How much a route takes at once, so that a slow backend does not take the edge's memory and its own last strength."""

from everyhop.model.base import Section
from everyhop.model.limits import Count, Positive


class Most(Section):
    """Circuit breaking: what is over it is told so at once, with 503 and `Retry-After`. At least one of `connections` and `requests`."""

    connections: Positive | None = None
    """Connections open to each backend at once, all threads and routes together that lead to it alike; one for each thread in any case. A request that finds none free goes to another backend, if there is one."""
    requests: Positive | None = None
    """Requests under way at once, all backends and threads together; a WebSocket is one until it ends."""
    waiting: Count = 0
    """Requests beyond that which wait for their turn, first come, first served."""
    wait_s: Positive = 5
    """How long one waits at most."""

"""What an edge and its backends did, once all of it is done: an answer may overtake what it is the answer to, and a thread
that records may be late. What a test sees between two such moments is what it asked for itself. Read next: `raw.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tests.kit.edge import EdgeKit, until
from tests.kit.process import children, is_asleep
from tests.kit.raw import Raw


def settle(edge: EdgeKit, *backends: Raw) -> None:
    """Until nothing is on its way any more: the backends wait with everything recorded, and the engine sleeps."""
    (engine,) = children(edge.edge.process.pid)

    def at_rest() -> list[list[int]] | None:
        return [b.mark() for b in backends] if all(b.is_at_rest() for b in backends) else None

    def settled() -> bool | None:
        before = at_rest()
        # What the engine did while the backends were looked at would show in their records after it.
        return (before is not None and is_asleep(engine) and at_rest() == before) or None

    until(settled, 20, lambda: "something goes on", pause_s=0.0005)


@contextlib.contextmanager
def watching(edge: EdgeKit, backend: Raw) -> Iterator[list[bytes]]:
    """What reached a backend meanwhile, each connection's by itself; filled at the end."""
    settle(edge, backend)
    before = backend.mark()
    found: list[bytes] = []
    yield found
    settle(edge, backend)
    found += backend.since(before)

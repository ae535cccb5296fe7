"""How much each pattern protects the way to a backend: the engine's order, asked for through the door."""

from __future__ import annotations

from everyhop import _door
from everyhop.plan.hop import Backend
from everyhop.plan.route import AtEdge

STRENGTH: dict[str, int] = {pattern: rank for rank, pattern in enumerate(_door.strengths())}
"""Larger protects more. Passthrough is no hop of the edge: it ends TLS elsewhere, and is last because nobody reads."""


def weakest(way: AtEdge) -> Backend:
    """What a route counts as, of all that is sent what it carries: of several in plaintext one that crosses a network."""

    def strength(it: Backend) -> tuple[int, bool]:
        return STRENGTH[it.hop.tls], it.hop.tls == "plaintext" and it.hop.reach.kind == "same_host"

    return min(way.behind, key=strength)

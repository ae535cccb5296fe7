"""How deep a configuration may be nested, in either language. It reads nothing."""

from __future__ import annotations

MOST_LEVELS = 64
"""A configuration has six."""


def levels(values: object) -> int:
    """How deep tables and arrays are nested, without going deeper itself."""
    row, found = [values], 0
    while row := [i for v in row for i in (v.values() if isinstance(v, dict) else v if isinstance(v, list) else ())]:
        found += 1
    return found

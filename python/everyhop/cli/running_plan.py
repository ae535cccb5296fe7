"""The plan that a running supervisor tells of. It may be of another version than this command: between an installation of the
new one and the end of the old."""

from __future__ import annotations

from everyhop import __version__
from everyhop.errors import Surroundings
from everyhop.plan import Plan, read_plan


def running_plan(told: object) -> Plan:
    """Raises `Surroundings` where this version cannot read it."""
    try:
        return read_plan(str(told))
    except ValueError as e:
        raise Surroundings(
            f"what runs tells of its plan in another form than this command reads ({__version__}): its supervisor was started by "
            "another version of Everyhop",
            "traffic is not touched by it",
            "start the supervisor anew, and the engine is adopted with all that it carries: docs/how-to/upgrade.md",
        ) from e

"""Something that is wrong now, as `everyhop status --json` tells it: the form that programs may rely on.

What kinds there are is the engine's list (`crates/record/src/trouble.rs`); `docs/reference/status.md` is made from both.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from everyhop.evidence.observation import Part


class Told(Part):
    """One of `supervisor.troubles`."""

    kind: str
    """One of the kinds above; a newer Everyhop may have more."""
    about: str
    """Which route, backend, file or name; empty where it is the edge as a whole."""
    why: str
    """What more is known: a refusal's place, slug and first finding, an error, a date."""
    since: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
    """Since when the supervisor knows of it (RFC 3339)."""
    unready: bool
    """Whether it makes `/readyz` answer 503."""
    sentence: str
    """What the kind means."""

"""When a change of a plan's field is told by `diff`. Each field of the forms carries one of these marks, so that whoever adds a
field decides; a test demands a mark of each, and holds it to what `diff` says.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, TypeVar

T = TypeVar("T")


class Told(Enum):
    ALWAYS = "always"
    BY_EFFECT = "by effect"
    """Where some request gets something else by it."""
    NEVER = "never"


Always = Annotated[T, Told.ALWAYS]
ByEffect = Annotated[T, Told.BY_EFFECT]
Never = Annotated[T, Told.NEVER]

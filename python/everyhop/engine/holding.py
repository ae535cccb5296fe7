"""What a supervisor and a keyholder say to each other, over the frames of `frames.py`: private keys ride on `hold` in a sealed memory
file, lines to an engine on `lines`."""

from __future__ import annotations

from typing import Literal

from everyhop.engine.messages import Answer, Ask, Form


class Hold(Ask):
    """Hold these keys, and no others."""

    ask: Literal["hold"] = "hold"


class Lines(Ask):
    """Answer on these lines, too."""

    ask: Literal["lines"] = "lines"


class Counted(Ask):
    """What did you sign?"""

    ask: Literal["counted"] = "counted"


class Held(Answer):
    answer: Literal["held"]


class Signed(Form):
    """How often the key of a piece of material signed."""

    id: str
    signed: int


class Counts(Answer):
    answer: Literal["counted"]
    signed: list[Signed]
    refused: dict[str, int]
    """How often it did not sign, by the reason."""

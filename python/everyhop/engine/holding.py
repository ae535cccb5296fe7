"""What a supervisor and a keyholder say to each other, over the frames of `frames.py`: private keys ride on `hold` in a sealed memory
file, lines to an engine on `lines`. The process of a PKCS#11 module is such a holder, too: of keys that its tokens have."""

from __future__ import annotations

from typing import Literal

from everyhop.engine.messages import Answer, Ask, Form


class Hold(Ask):
    """Hold these keys, and no others."""

    ask: Literal["hold"] = "hold"


class HoldTokens(Ask):
    """Sign by these keys of tokens, and by no others. `whole`: by all of them, or go on with those before."""

    ask: Literal["hold_tokens"] = "hold_tokens"
    whole: bool


class Lines(Ask):
    """Answer on these lines, too."""

    ask: Literal["lines"] = "lines"


class Module(Ask):
    """On these lines the process of that module answers."""

    ask: Literal["module"] = "module"
    module: str


class Counted(Ask):
    """What did you sign?"""

    ask: Literal["counted"] = "counted"


class Held(Answer):
    answer: Literal["held"]


class Lacking(Form):
    """A key that cannot be signed by."""

    id: str
    slug: str
    why: str


class HeldTokens(Answer):
    answer: Literal["held_tokens"]
    lacking: list[Lacking]


class Signed(Form):
    """How often the key of a piece of material signed."""

    id: str
    signed: int


class Counts(Answer):
    answer: Literal["counted"]
    signed: list[Signed]
    refused: dict[str, int]
    """How often it did not sign, by the reason."""
    waits_ms: int
    """For how long a token has been waited for."""

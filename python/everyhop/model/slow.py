"""When an answer is late enough to count as a failure of its backend."""

from typing import Annotated

from pydantic import Field

from everyhop.model.base import Section


class Slow(Section):
    """An entry of `eject_on`."""

    slow_ms: Annotated[int, Field(ge=1, le=3_600_000)]
    """An answer begins later than this after the whole request was sent; how long its body takes is not looked at. It ejects a backend only while another one's last answer was none that counts: where all are slow, what is behind them is. WebSockets do not count; a route whose answers are meant to wait (long polling) has no use for it."""

"""Where the edge goes by itself, beside where requests go: the hop there is as one to a backend."""

from typing import Annotated

from pydantic import Field

from everyhop.model.acceptance import Acceptance
from everyhop.model.base import Section
from everyhop.model.hop import Verify
from everyhop.model.words import HopTls


class Side(Section):
    """What all of them say of the hop."""

    name: str
    to: Annotated[list[str], Field(min_length=1)]
    """Where it is, such as `"otel.internal:4318"`, in the forms that a backend has. Of several one is gone to; the next where that one cannot be reached."""
    tls: HopTls
    """How it is reached: `mutual`, `reencrypt`, or `plaintext`, which takes an `acceptance` unless it is on this host."""
    verify: Verify | None = None
    present: str | None = None
    """The `[[identity]]` shown to it."""
    demand_asks: bool = False
    """Whether nothing is sent to one that did not ask for our certificate, where `tls = "mutual"`."""
    require_post_quantum: bool = False
    """Whether the hop there is by post-quantum key exchange (X25519MLKEM768, TLS 1.3) alone."""
    off_host: bool = False
    """A loopback address that leads elsewhere (a tunnel, a port-forward)."""
    acceptance: Acceptance | None = None

    @property
    def data(self) -> None:
        """What a leak would be is said of routes."""
        return None

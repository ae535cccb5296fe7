"""`[crl]`: revocation lists that are fetched from a URL, wherever a `crl` names one. Read next: `site.py`, `hop.py`."""

from __future__ import annotations

import hashlib
from typing import Annotated

from pydantic import Field

from everyhop.model.base import Section


class CrlSection(Section):
    """`[crl]`: how revocation lists are fetched that `crl` names by a URL."""

    refresh_s: Annotated[int, Field(ge=1, le=604_800)] = 3_600
    """How long a list is used at most until it is asked for anew; sooner where half of the time to its next update is less. That is how long who was revoked may still pass."""
    ca: str | None = None
    """PEM file of the roots by which a server of `https://` is verified; default: the machine's. A list is signed, whichever way it comes."""
    state: str = "lists"
    """The folder where the last good lists are kept, so that a start needs no server; nobody else may write there."""

    def kept(self, url: str) -> str:
        """Where the list of that URL is kept."""
        return f"{self.state}/{hashlib.sha256(url.encode()).hexdigest()[:32]}.pem"


FETCHED = ("https://", "http://")


def is_url(label: str) -> bool:
    """A file has no such name: whoever writes one means a URL, of whatever kind."""
    scheme, colon, _ = label.partition("://")
    return bool(colon) and scheme.isascii() and scheme.replace("+", "").replace("-", "").replace(".", "").isalnum()

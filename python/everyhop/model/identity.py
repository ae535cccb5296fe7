"""`[[identity]]`: a certificate that the edge shows, and where it comes from. Read next: `site.py`, `hop.py`."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from everyhop.model.base import Section

PLAIN = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}")


class FileIdentity(Section):
    """`[[identity]]`: a certificate that we show, of files that somebody else renews."""

    name: str
    from_: Annotated[Literal["files", "ca"], Field(alias="from")] = "files"
    """`files`; or `ca`: an authority of `everyhop ca` issues it, and it is renewed by itself."""
    chain: str
    """PEM file, leaf first."""
    key: str
    """`file:PATH`, `env:NAME` or `cred:NAME` (systemd); never the key itself."""

    @property
    def comes(self) -> bool:
        """By itself, so that it may not be there yet."""
        return False

    @property
    def origin(self) -> str:
        """Where the key comes from, as the plan has it."""
        return self.key


class CaIdentity(Section):
    """`[[identity]]` from an authority that `everyhop ca serve` offers: by a token at first, and renewed at half of its life by itself."""

    name: str
    from_: Annotated[Literal["ca"], Field(alias="from")]
    """`ca`: an authority of `everyhop ca` issues it, and it is renewed by itself."""
    authority: str
    """Where that is asked: `host:port`, as its own certificate has the host."""
    token: str | None = None
    """What `everyhop ca token` printed: `file:PATH`, `env:NAME` or `cred:NAME`; never the token itself. Used where there is no certificate yet, or the last one is over; a token is good once."""
    state: str | None = None
    """The folder of key, certificate, roots and revocation lists, readable by nobody else. Default: `identities/` and the name."""

    @property
    def comes(self) -> bool:
        return True

    @property
    def origin(self) -> str:
        return f"ca:{self.authority}"

    @property
    def folder(self) -> str:
        if self.state is not None:
            return self.state
        plain = PLAIN.fullmatch(self.name) is not None
        return f"identities/{self.name if plain else '_' + hashlib.sha256(self.name.encode()).hexdigest()[:32]}"

    @property
    def chain(self) -> str:
        """Key and chain in one file, since two cannot be replaced in one step."""
        return f"{self.folder}/{PAIR}"

    @property
    def key(self) -> str:
        return f"file:{self.chain}"


CURRENT = "current"
"""What is in force: a link, which is turned to the next set of files in one step."""
PAIR, ROOTS, LISTS = (f"{CURRENT}/{name}" for name in ("pair.pem", "roots.pem", "crl.pem"))


def form(given: Any) -> str:
    """Of an identity, so that what is wrong with it is told of the form that it was meant to have."""
    said = given.get("from") if isinstance(given, dict) else getattr(given, "from_", None)
    return "ca" if said == "ca" else "files"


Identity = Annotated[
    Annotated[FileIdentity, Tag("files")] | Annotated[CaIdentity, Tag("ca")],
    Discriminator(form),
]

GIVEN = "identity:"
"""Before the name of an identity, where a file of roots or lists would stand."""

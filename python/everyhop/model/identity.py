"""`[[identity]]`: a certificate that the edge shows, and where it comes from. Read next: `site.py`, `hop.py`."""

from __future__ import annotations

import hashlib
import re
from abc import abstractmethod
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, WithJsonSchema

from everyhop.model.base import Section

PLAIN = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}")


class FileIdentity(Section):
    """`[[identity]]`: a certificate that we show, of files that somebody else renews."""

    name: str
    from_: Annotated[
        Literal["files", "ca", "spiffe"], Field(alias="from"), WithJsonSchema({"const": "files", "type": "string"})
    ] = "files"
    """`files`; `ca`: an authority of `everyhop ca` issues it, and it is renewed by itself; or `spiffe`: an agent of the SPIFFE Workload API gives it, and each next one."""
    chain: str
    """PEM file, leaf first."""
    key: str
    """`file:PATH`, `env:NAME` or `cred:NAME` (systemd); never the key itself. Or a `pkcs11:` URI of a key that [a token has](../how-to/keep-keys-in-an-hsm.md), which needs `[engine] keys = "apart"`."""

    @property
    def comes(self) -> bool:
        """By itself, so that it may not be there yet."""
        return False

    @property
    def origin(self) -> str:
        """Where the key comes from, as the plan has it."""
        return self.key


class ComingIdentity(Section):
    """An identity that comes by itself, and what lies in its folder."""

    name: str
    state: str | None = None
    """The folder of key, certificate, roots and revocation lists, readable by nobody else. Default: `identities/` and the name."""

    @property
    def comes(self) -> bool:
        return True

    @property
    @abstractmethod
    def origin(self) -> str:
        """Where it comes from, as the plan has it."""

    @property
    @abstractmethod
    def by(self) -> str:
        """Whoever is asked for it."""

    @property
    def folder(self) -> str:
        if self.state is not None:
            return self.state
        plain = PLAIN.fullmatch(self.name) is not None
        return f"{IDENTITIES}/{self.name if plain else '_' + hashlib.sha256(self.name.encode()).hexdigest()[:32]}"

    @property
    def chain(self) -> str:
        """Key and chain in one file, since two cannot be replaced in one step."""
        return f"{self.folder}/{PAIR}"

    @property
    def key(self) -> str:
        return f"file:{self.chain}"

    def roots(self, label: str) -> str:
        """The file that stands for `identity:NAME`, or for one with more behind it."""
        return f"{self.folder}/{ROOTS}"


class CaIdentity(ComingIdentity):
    """`[[identity]]` from an authority that `everyhop ca serve` offers: by a token at first, and renewed at half of its life by itself."""

    from_: Annotated[Literal["ca"], Field(alias="from")]
    """`ca`: an authority of `everyhop ca` issues it, and it is renewed by itself."""
    authority: str
    """Where that is asked: `host:port`, as its own certificate has the host."""
    token: str | None = None
    """What `everyhop ca token` printed: `file:PATH`, `env:NAME` or `cred:NAME`; never the token itself. Used where there is no certificate yet, or the last one is over; a token is good once."""

    @property
    def origin(self) -> str:
        return f"ca:{self.authority}"

    @property
    def by(self) -> str:
        return self.authority


class SpiffeIdentity(ComingIdentity):
    """`[[identity]]` that an agent of this machine gives by the SPIFFE Workload API, such as SPIRE's: an X.509-SVID, which it renews, and the roots of its trust domain and of those that are federated with it."""

    from_: Annotated[Literal["spiffe"], Field(alias="from")]
    """`spiffe`: an agent of the SPIFFE Workload API gives it, and each next one."""
    agent: str
    """Its socket: `unix:/run/spire/sockets/agent.sock`. It belongs to root or to who runs Everyhop."""
    id: str
    """Who this edge is: `spiffe://TRUST-DOMAIN/PATH`. Of several that the agent gives it is this one, and nothing is taken in its place."""

    @property
    def origin(self) -> str:
        return f"spiffe:{self.id} by {self.agent}"

    @property
    def by(self) -> str:
        return self.agent

    @property
    def domain(self) -> str:
        """Its own trust domain."""
        return trust_domain(self.id)

    def vouches_for(self, label: str) -> str:
        """The trust domain whose roots `identity:NAME`, or `identity:NAME/TRUST-DOMAIN`, stands for."""
        return label.removeprefix(f"{GIVEN}{self.name}").removeprefix("/") or self.domain

    def roots(self, label: str) -> str:
        domain = self.vouches_for(label)
        return super().roots(label) if domain == self.domain else f"{self.folder}/{BUNDLES}/{domain}.pem"


def trust_domain(id_: str) -> str:
    """Of a SPIFFE ID, or of a pattern of them."""
    return id_.removeprefix("spiffe://").partition("/")[0]


IDENTITIES = "identities"
"""Where those lie that name no folder of their own; such a one is its owner's to tidy."""
CURRENT = "current"
"""What is in force: a link, which is turned to the next set of files in one step."""
PAIR, ROOTS, LISTS, BUNDLES = (f"{CURRENT}/{name}" for name in ("pair.pem", "roots.pem", "crl.pem", "bundles"))


def form(given: Any) -> str:
    """Of an identity, so that what is wrong with it is told of the form that it was meant to have."""
    said = given.get("from") if isinstance(given, dict) else getattr(given, "from_", None)
    return said if said in ("ca", "spiffe") else "files"


Identity = Annotated[
    Annotated[FileIdentity, Tag("files")] | Annotated[CaIdentity, Tag("ca")] | Annotated[SpiffeIdentity, Tag("spiffe")],
    Discriminator(form),
]

GIVEN = "identity:"
"""Before the name of an identity, where a file of roots or lists would stand. A slash and a trust domain may follow, of one by SPIFFE."""

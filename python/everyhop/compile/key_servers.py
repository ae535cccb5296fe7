"""Where the keys of an issuer are fetched: a URL, and the hop to who serves it, which is one as to a backend. Pure. Read next:
`rules_key_servers.py`."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from everyhop import plan
from everyhop.compile import names
from everyhop.compile.behind import Behind
from everyhop.compile.hops import hop, place
from everyhop.compile.world import Key
from everyhop.model import Backend, Collector, Config, Issuer
from everyhop.model.words import HopTls

PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True)
class Url:
    """One that can be asked for as it is written."""

    secure: bool
    host: str
    """A name, or an address with its brackets."""
    port: int
    path: str
    """With the query."""

    @property
    def at(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def authority(self) -> str:
        return self.host if self.port == PORTS["https" if self.secure else "http"] else self.at


class KeyServer(Collector):
    """The hop to one, in the words of every other."""


def url(text: str) -> Url | None:
    """`None` for what no request could be made of as it stands: another scheme, a user, a fragment, what must be escaped."""
    if not text.isascii() or any(c <= " " or c in '"<>\\^`{|}\x7f#' for c in text):
        return None
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    if (
        parts.scheme not in PORTS
        or "@" in parts.netloc
        or not parts.hostname
        or port == 0
        or not has_whole_host(parts.netloc)
    ):
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    found = Url(
        parts.scheme == "https",
        host,
        port or PORTS[parts.scheme],
        (parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
    )
    at = names.address(found.at)
    return found if at is not None and at.unix is None and at.service is None else None


def has_whole_host(netloc: str) -> bool:
    """`host:` has no port, and somebody meant one."""
    return not netloc.endswith(":")


def server(it: Issuer) -> tuple[Url, KeyServer] | None:
    """`None` where its keys are in a file, or there is no such URL."""
    found = url(it.keys.from_) if it.keys.from_ is not None else None
    if found is None:
        return None
    secure: HopTls = "mutual" if it.keys.present is not None else "reencrypt"
    return found, KeyServer(
        name=it.name,
        to=[found.at],
        tls=secure if found.secure else "plaintext",
        verify=it.keys.verify,
        present=it.keys.present,
        demand_asks=it.keys.demand_asks,
        require_post_quantum=it.keys.require_post_quantum,
    )


def keys(it: Issuer) -> plan.KeysFile | plan.KeysServer:
    if it.keys.file is not None:
        return plan.KeysFile(kind="file", path=it.keys.file)
    found = server(it)
    assert found is not None, "judged before"
    at, by = found
    backend = plan.Backend(at=place(at.at), hop=hop(by, Backend(at=at.at)))
    return plan.KeysServer(kind="server", authority=at.authority, path=at.path, backend=backend)


@dataclass(frozen=True)
class AtIssuer(Behind):
    """The hop to an issuer's keys, with where each word about it stands."""

    @property
    def at(self) -> Key:
        return self.own

    @property
    def server(self) -> KeyServer:
        assert isinstance(self.given, KeyServer)
        return self.given

    @property
    def called(self) -> str:
        return f"the key server of issuer {self.server.name!r}"

    def key(self, j: int) -> Key:
        return self.own

    def address(self, j: int) -> Key:
        return (*self.own, "from")

    def pattern(self, j: int) -> Key:
        return (*self.own, "from")

    def said(self, field: str) -> Key:
        return (*self.own, field)


def servers(config: Config) -> list[tuple[int, Url, AtIssuer]]:
    """Of each issuer that has one, by its place in the file."""
    found = [(i, server(it)) for i, it in enumerate(config.issuer)]
    return [(i, it[0], AtIssuer(("issuer", i, "keys"), it[1], it[1])) for i, it in found if it is not None]

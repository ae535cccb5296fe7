"""Where a redirect leads. A target is `https://` with a host that stands in the file or is the request's own, or a path that
begins with a name: nothing that a client sends can make it lead to another server. Pure. Read next: `rules_answers.py`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

from everyhop import plan
from everyhop.compile import names
from everyhop.compile.pieces import Piece

MAY_NAME = ("path", "query", "host")
HOST, PATH, QUERY = "\ue000", "\ue001", "\ue002"
"""Stand in for what a request brings; no target can have them itself."""
STANDS_FOR = {"host": HOST, "path": PATH, "query": QUERY}

WRITTEN = re.compile(r"[!$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~#]*")
"""What may stand in a URI (RFC 3986 §2)."""
ABSOLUTE = re.compile(rf"(?i:https)://(?P<authority>[^/?#{PATH}{QUERY}]*)(?P<rest>.*)")
AUTHORITY = re.compile(r"(?P<host>[^:]*)(?::(?P<port>[0-9]{1,5}))?")


class NoTarget(ValueError):
    """What a redirect cannot lead to. `slug` says why, `mend` what to write."""

    def __init__(self, slug: str, what: str, mend: str) -> None:
        super().__init__(what)
        self.slug, self.what, self.mend = slug, what, mend


def no(what: str, mend: str) -> NoTarget:
    return NoTarget("route/redirect-target", what, mend)


@dataclass(frozen=True)
class Target:
    """A target that leads to one server, whatever is asked for."""

    shape: str
    """With what stands in for parts of a request."""

    def of(self, host: str, path: str) -> str:
        """What a request without a query is led to, as a whole."""
        led = self.shape.replace(HOST, host).replace(PATH, path).replace(QUERY, "")
        return urljoin(f"https://{host}/", led)


def target(pieces: list[Piece]) -> Target:
    """Raises `NoTarget`."""
    shape = ""
    for piece in pieces:
        if isinstance(piece, plan.OfClaim | plan.OfUser | plan.OfAnswer):
            raise NoTarget("route/variable", f"{piece} can stand in no target", "name {path}, {query} or {host}")
        if isinstance(piece, plan.Of):
            if piece.of not in MAY_NAME:
                what = f"{{{piece.of}}} can stand in no target"
                raise NoTarget("route/variable", what, "name {path}, {query} or {host}")
            shape += STANDS_FOR[piece.of]
        elif not WRITTEN.fullmatch(piece.text):
            raise unwritten(piece.text)
        else:
            shape += piece.text
    if shape.lower().startswith("http:"):
        raise NoTarget("route/redirect-in-the-clear", "it leads to http", "write https://")
    if (found := ABSOLUTE.fullmatch(shape)) is not None:
        authority(found["authority"])
    elif not shape.startswith("/"):
        raise no("it is neither https:// with a host nor a path", 'write "https://www.example.com{path}{query}"')
    elif len(shape) > 1 and shape[1] in ("/", "\\", PATH):
        what = "a path that begins with two slashes is the name of another server to a browser"
        raise no(what, 'write the host: "https://{host}{path}{query}"')
    before, mark, behind = re.match(r"([^?#]*)([?#]?)(.*)", shape, re.S).groups()  # type: ignore[union-attr]
    if mark and any(it in behind for it in STANDS_FOR.values()):
        raise no(
            f"something of a request stands behind its {mark}, where it could be read as more than one thing",
            "let it end there",
        )
    if QUERY in before[:-1] or (QUERY in before and mark):
        raise no("{query} stands before its end", "let {query} be the last")
    return Target(shape)


def unwritten(text: str) -> NoTarget:
    """For a text that holds what no URI can: what of it, and how it is written."""
    found = WRITTEN.match(text)
    odd = text[found.end() if found else 0]
    host = re.match(r"(?i:https)://([^/?#]*)", text)
    mend = names.host_mend(host[1]) if host and odd in host[1] else f"percent-encode it: {quote(odd)}"
    return no(f"it holds {odd!r}, which no URI can (RFC 3986 §2)", mend)


def authority(text: str) -> None:
    mend = 'write one host: "https://www.example.com{path}{query}", or that of the request: "https://{host}:8443{path}{query}"'
    found = AUTHORITY.fullmatch(text)
    host = found["host"] if found else ""
    if found is None or (found["port"] is not None and not 0 < int(found["port"]) < 65_536):
        raise no(f"{shown(text)!r} is no host", mend)
    fixed = host.removesuffix(HOST)
    if HOST in fixed or (fixed != host and fixed and not fixed.endswith(".")):
        raise no(f"{shown(text)!r} makes one host of two", mend)
    whole = host.replace(HOST, "host.example")
    known = names.host(whole)
    if known is None or whole != whole.lower().removesuffix("."):
        mend = mend if known is None or HOST in host else f'write it as "{known}"'
        raise no(f"{shown(text)!r} is no host name in its one form", mend)


def shown(shape: str) -> str:
    for name, stand_in in STANDS_FOR.items():
        shape = shape.replace(stand_in, f"{{{name}}}")
    return shape


def parts(uri: str) -> tuple[str, int, str]:
    """Host, port and path of an https URI."""
    it = urlsplit(uri)
    return it.hostname or "", it.port or 443, it.path or "/"

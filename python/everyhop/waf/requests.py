"""Requests in a file, read by what reads them on the wire: what an edge refuses is refused here by the same name.

Two forms. With CRLF it is bytes as a client sends them, one request behind the other. Without any it was written by hand:
requests stand between lines that begin with `###`, lines before a request that begin with `#` are comments, line ends are made
CRLF, and a body gets its Content-Length where neither that nor Transfer-Encoding is said.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from everyhop import _door
from everyhop.model.limits import Limits
from everyhop.waf.frames import Field, Request

MOST_BYTES = 16 << 20


@dataclass(frozen=True)
class Found:
    """A request of a file, by the line on which it begins; or why an edge would not have one there."""

    line: int
    shown: str
    request: Request | None
    slug: str = ""
    why: str = ""


def in_file(data: bytes, body_bytes: int) -> Iterator[Found]:
    """The requests of a file in order. Of longer bodies only the first `body_bytes` are kept."""
    return _as_sent(data, body_bytes) if b"\r\n" in data else _by_hand(data, body_bytes)


def read(data: bytes, body_bytes: int, limits: Limits | None = None) -> tuple[Request, int]:
    """The first request of some bytes, and how many it took. Raises `ValueError(slug, status, sentence)` as the door does."""
    most = limits or Limits()
    method, target, is_10, host, fields, body, took = _door.read_request(
        data, (most.head_bytes, most.head_fields, most.target_bytes)
    )
    kept = tuple(Field(name, value) for name, value in fields)
    whole = len(body) <= body_bytes
    return Request(method, target, host, kept, body[:body_bytes], whole, 10 if is_10 else 11), took


def _as_sent(data: bytes, body_bytes: int) -> Iterator[Found]:
    at = 0
    while data[at:].strip():
        line = data.count(b"\n", 0, at) + 1
        one = _found(line, data[at:], body_bytes)
        yield one[0]
        if one[0].request is None:
            # On a connection nothing is read behind a request that is refused either.
            return
        at += one[1]


def _by_hand(data: bytes, body_bytes: int) -> Iterator[Found]:
    lines = data.split(b"\n")
    begins = 0
    for at in range(len(lines) + 1):
        if at < len(lines) and not lines[at].startswith(b"###"):
            continue
        skipped = begins
        while skipped < at and (not lines[skipped].strip() or lines[skipped].startswith(b"#")):
            skipped += 1
        if skipped < at:
            yield _found(skipped + 1, _sent(lines[skipped:at]), body_bytes)[0]
        begins = at + 1


def _sent(lines: list[bytes]) -> bytes:
    """What would be sent of a request that was written by hand."""
    until = lines.index(b"") if b"" in lines else len(lines)
    head, body = lines[:until], b"\n".join(lines[until + 1 :]).rstrip(b"\n")
    framed = any(line.lower().startswith((b"content-length:", b"transfer-encoding:")) for line in head)
    if body and not framed:
        head.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([*head, b"", b""]) + body


def _found(line: int, data: bytes, body_bytes: int) -> tuple[Found, int]:
    shown = data.lstrip().split(b"\r\n", 1)[0].decode(errors="replace")
    try:
        request, took = read(data, body_bytes)
    except ValueError as e:
        slug, _, sentence = e.args
        if slug == "ends":
            return Found(line, shown, None, "", f"the file ends within its {sentence}"), 0
        return Found(line, shown, None, slug, sentence), 0
    return Found(line, shown, request), took

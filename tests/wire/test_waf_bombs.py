"""Bodies that are small to send and large to look at: they are refused by their rule, unpacked by nobody, and cost the inspector no memory
that others feel."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit import exchange, tls
from tests.kit.clients import Answer
from tests.wire.test_waf import GET, Stage, inspector, post, stage

__all__ = ["inspector", "stage"]

pytestmark = pytest.mark.usefixtures("inspector")

PART = '--x\r\nContent-Disposition: form-data; name="{}"\r\n\r\n\r\n'
BODIES: dict[str, tuple[str, str, bytes, int]] = {
    "gzip, a thousand times as long": (
        "application/json",
        "Content-Encoding: gzip\r\n",
        gzip.compress(b'"' + b"a" * 100_000_000 + b'"'),
        920450,
    ),
    "a form of many empty parts": (
        "multipart/form-data; boundary=x",
        "",
        ("".join(PART.format(n) for n in range(2000)) + "--x--\r\n").encode(),
        0,
    ),
    "JSON that is deeper than any interface": ("application/json", "", b"[" * 50_000 + b"]" * 50_000, 0),
}
MOST_MB = 96
"""What a body of a hundred KB may make an inspector grow by."""


def most_mb(pid: int) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) // 1024


def sent(it: Stage, of: str, more: str, body: bytes) -> Answer:
    head = post("", of, more).replace("Content-Length: 0", f"Content-Length: {len(body)}").encode()
    with tls(it.edge.port, "a.test", it.pki.public.file) as sock:
        return exchange(sock, head + body)


@pytest.mark.parametrize("kind", BODIES)
def test_a_bomb_is_refused_and_unpacked_by_nobody(stage: Callable[..., Stage], kind: str) -> None:
    """D02."""
    of, more, body, rule = BODIES[kind]
    it = stage()
    pid = it.inspector_pid()
    assert pid is not None
    before, mark = most_mb(pid), it.raw.mark()
    answer = sent(it, of, more, body)
    assert (answer.status, "waf/denied" in answer.text) == (403, True), answer.text
    assert it.raw.since(mark) == [], "the backend hears nothing of it"
    assert it.ask(GET).status == 200, "and the next is served"
    assert it.inspector_pid() == pid, "by the same inspector"
    assert most_mb(pid) - before < MOST_MB
    assert rule in (0, *(found["rule"] for found in it.told()[0]["rules"]))  # type: ignore[attr-defined]


def test_entities_of_xml_that_name_each_other_are_unpacked_by_nobody(stage: Callable[..., Stage]) -> None:
    """D02. What its backend makes of them is its own: no rule of the first level is about them."""
    it = stage()
    pid = it.inspector_pid()
    assert pid is not None
    before = most_mb(pid)
    entities = b"".join(b'<!ENTITY %c "%s">' % (99 + n, b"&%c;" % (98 + n) * 10) for n in range(12))
    body = b'<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb">' + entities + b"]><a>&n;</a>"
    assert sent(it, "application/xml", "", body).status == 200
    assert it.raw.received.endswith(body), "as it came"
    assert (it.inspector_pid(), most_mb(pid) - before < MOST_MB) == (pid, True)

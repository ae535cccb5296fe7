"""Frames to and from the inspector, byte by byte. That the other side reads them so is what the tests on the wire show."""

from __future__ import annotations

import struct

import pytest

from everyhop.waf import frames
from everyhop.waf.frames import Broken, Exclusion, Field, Match, Policy, Request, RuleFile, Verdict


def short(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()


def test_policies_are_written_in_the_form_that_the_inspector_reads() -> None:
    policy = Policy("p", 2, True, 9, (RuleFile("f", "x"),), (Exclusion(7, "/a", "q"),))
    payload = b"\x01\x00\x01" + short("p") + b"\x02\x01" + b"\0\0\0\x09"
    payload += b"\0\x01" + short("f") + b"\0\0\0\x01x" + b"\0\x01" + b"\0\0\0\x07" + short("/a") + short("q")
    assert frames.policies_frame([policy]) == struct.pack(">IB", 1 + len(payload), 1) + payload


@pytest.mark.parametrize(
    ("client", "packed"),
    [("192.0.2.1", b"\x04\xc0\x00\x02\x01"), ("2001:db8::1", b"\x06\x20\x01\x0d\xb8" + bytes(11) + b"\x01")],
)
def test_a_request_is_written_as_it_came(client: str, packed: bytes) -> None:
    it = Request("GET", b"/\xff", "a.test", (Field(b"X", b"\xfe"),), b"body", False, 20, client, 258)
    payload = struct.pack(">QH", 5, 3) + short("GET") + b"\0\0\0\x02/\xff" + b"\x14" + short("a.test") + packed
    payload += b"\x01\x02" + b"\0\x01" + b"\0\x01X" + b"\0\0\0\x01\xfe" + b"\0" + b"\0\0\0\x04body"
    assert frames.request_frame(5, 3, it) == struct.pack(">IB", 1 + len(payload), 4) + payload


VERDICT = struct.pack(">QBHIH", 4, 1, 403, 15, 1) + struct.pack(">IBB", 942100, 2, 2) + short("found") + short("ARGS:q")
READY = b"\x01" + short("Coraza 3") + short("CRS 4") + struct.pack(">HI", 1, 467)
REFUSED = b"\x01\0\x01" + short("crs") + short("own.conf") + struct.pack(">I", 3) + short("no such operator")
FAILED = struct.pack(">QB", 4, 3)


def test_answers_are_read_as_the_inspector_writes_them() -> None:
    rules = (Match(942100, "critical", 2, "found", "ARGS:q"),)
    assert frames.read_verdict(VERDICT) == (4, Verdict("deny", 403, 15, rules))
    assert frames.read_ready(READY) == ("Coraza 3", "CRS 4", (467,))
    assert frames.read_refused(REFUSED) == [("crs", "own.conf", 3, "no such operator")]
    assert frames.read_failed(FAILED) == (4, "too many requests wait")


@pytest.mark.parametrize(
    ("payload", "read"),
    [
        (VERDICT, frames.read_verdict),
        (READY, frames.read_ready),
        (REFUSED, frames.read_refused),
        (FAILED, frames.read_failed),
    ],
)
def test_an_answer_that_is_cut_anywhere_or_has_a_byte_too_many_is_broken(payload: bytes, read: object) -> None:
    assert callable(read)
    for cut in range(len(payload)):
        with pytest.raises(Broken):
            read(payload[:cut])
    with pytest.raises(Broken):
        read(payload + b"\0")


@pytest.mark.parametrize(
    ("payload", "read"),
    [
        (b"\x02" + READY[1:], frames.read_ready),
        (struct.pack(">QBHIH", 4, 3, 403, 15, 0), frames.read_verdict),
        (VERDICT.replace(struct.pack(">IBB", 942100, 2, 2), struct.pack(">IBB", 942100, 8, 2)), frames.read_verdict),
        (struct.pack(">QB", 4, 9), frames.read_failed),
    ],
)
def test_an_answer_that_says_what_there_is_not_is_broken(payload: bytes, read: object) -> None:
    assert callable(read)
    with pytest.raises(Broken):
        read(payload)

"""HTTP/1: what two readers could take in two ways is refused; what is forwarded is written afresh, and two independent
parsers read it as we did. Tables come from the grammar of RFC 9112 and RFC 9110, by construction and mutation."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import pytest

from tests.threats.ground import (
    HOSTS,
    TERMINATING,
    Ground,
    by_h11,
    by_httptools,
    is_open,
    requests_in,
    response,
    watched,
)

Lines = tuple[bytes, ...]
CHUNKED_BODY = b"5\r\nhello\r\n0\r\n\r\n"


def request(host: str, *lines: bytes, method: bytes = b"POST", body: bytes = b"") -> bytes:
    return b"%s /attack HTTP/1.1\r\nHost: %s\r\n%s\r\n%s" % (
        method,
        host.encode(),
        b"".join(line + b"\r\n" for line in lines),
        body,
    )


def judge(ground: Ground, pattern: str, sent: bytes, *, refused: bool | None, clean: bool = True) -> int:
    """Sends one attack; holds the invariants; gives the status.

    `refused`: whether it must be, `None` where either is right. Refused means: an error status or a closed connection,
    and no complete request at the upstream. Forwarded means: two parsers agree with us that it is one request.
    """
    with watched(ground, pattern) as seen:
        with ground.connect(pattern) as sock:
            sock.sendall(sent)
            status, _, fields = response(sock, "HEAD" if sent.startswith(b"HEAD") else "GET")
            still = status != 0 and is_open(sock, fields)
            if still:
                ground.clean(pattern, sock)
    arrived = b"".join(seen)
    requests = [r for r in requests_in(seen) if r[1] != b"/clean"]
    if status == 0 or status >= 400:
        assert refused is not False, f"{sent!r} was refused with {status}"
        assert not requests, f"{sent!r} got {status} and reached the upstream as {requests}"
    else:
        assert refused is not True, f"{sent!r} got {status} and reached the upstream as {arrived!r}"
        assert len(requests) == 1, f"{sent!r} arrived as {requests}"
        assert by_httptools(arrived) == by_h11(arrived), arrived
    if refused and 400 <= status < 500 and status not in {404, 405, 413, 414, 417, 421, 431}:
        assert not still, f"{sent!r}: the connection goes on after {status}"
    if clean:
        ground.clean(pattern)
    return status


# Framing.

NAMES = (b"Transfer-Encoding", b"transfer-encoding", b"TRANSFER-ENCODING", b"tRaNsFeR-eNcOdInG")
AROUND = (b"", b" ", b"\t", b"\x0b", b"\x0c", b"\x00", b"\xa0", b"\r", b"\x85")
CODINGS = (
    b"chunked",
    b"Chunked",
    b"CHUNKED",
    b"chunked,",
    b",chunked",
    b"chunked, chunked",
    b"chunked, cow",
    b"cow, chunked",
    b"gzip, chunked",
    b"identity",
    b"chunked, identity",
    b'"chunked"',
    b"'chunked'",
    b"chunked;q=1",
    b"chunke",
    b"xchunked",
    b"chunkedx",
    b"chun ked",
    b"",
    b"c\x68unked\x00",
)


def te_lines() -> Iterator[Lines]:
    """Transfer-Encoding: name x white space before the colon, before and after the value x coding."""
    for name, coding in itertools.product(NAMES, CODINGS):
        yield (name + b": " + coding,)
    for before, after, last in itertools.product(AROUND, AROUND, AROUND):
        yield (b"Transfer-Encoding" + before + b":" + after + b"chunked" + last,)
    for bad in (b"Transfer_Encoding", b"Transfer.Encoding", b"Transfer Encoding", b" Transfer-Encoding", b"X: y\r\n"):
        yield (bad + b": chunked",)
    for one, two in itertools.product((b"chunked", b"identity", b"cow"), repeat=2):
        yield (b"Transfer-Encoding: " + one, b"Transfer-Encoding: " + two)
    yield (b"Transfer-Encoding:\r\n chunked",)
    yield (b"Transfer-Encoding:\n chunked",)
    yield (b"Foo: bar\r\n Transfer-Encoding: chunked",)
    yield (b"Foo: bar\rTransfer-Encoding: chunked",)
    yield (b"Foo: bar\nTransfer-Encoding: chunked",)


LENGTHS = (
    b"5",
    b"+5",
    b"-5",
    b"0x5",
    b"5_0",
    b"05",
    b"5,5",
    b"5, 5",
    b'"5"',
    b"",
    b"5 5",
    b"5.0",
    b"5e0",
    b"\xef\xbc\x95",
    b"5\x00",
    b"5;",
    b"18446744073709551616",
    b"18446744073709551621",
    b"9223372036854775808",
    b"4294967301",
    b"00000000000000000005",
    b"99999999999999999999999999",
)


def cl_lines() -> Iterator[Lines]:
    for value in LENGTHS:
        yield (b"Content-Length: " + value,)
    for before, after in itertools.product(AROUND, AROUND):
        yield (b"Content-Length" + before + b":" + after + b"5",)
    for one, two in itertools.product((b"5", b"6", b"0", b"5 "), repeat=2):
        yield (b"Content-Length: " + one, b"Content-Length: " + two)
    for bad in (b"Content_Length", b"Content.Length", b"Content Length", b" Content-Length"):
        yield (bad + b": 5",)


TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
FIELD = re.compile(
    rb"(" + TOKEN + rb"):[ \t]*([\x21-\x7e\x80-\xff]([\x20-\x7e\x80-\xff\t]*[\x21-\x7e\x80-\xff])?)?[ \t]*"
)


def in_order(lines: Lines) -> bool:
    """An oracle of a few lines, by the grammar: may these fields frame a request?"""
    parsed = [FIELD.fullmatch(line) for line in lines]
    if not all(parsed):
        return False
    fields = [(m[1].lower(), m[2] or b"") for m in parsed if m]
    codings = [v for n, v in fields if n == b"transfer-encoding"]
    lengths = [v for n, v in fields if n == b"content-length"]
    if (codings and lengths) or len(codings) > 1 or len(lengths) > 1:
        return False
    if any(c.lower() != b"chunked" for c in codings):
        return False
    # Nobody sends more than nine exabytes; more than 18 digits is refused for what others make of them.
    return all(re.fullmatch(rb"[0-9]{1,18}", v) for v in lengths)


def framed(lines: Lines) -> bytes:
    """A body that fits the one reading and smuggles in the other."""
    if any(b"transfer" in line.lower() for line in lines):
        return CHUNKED_BODY
    return b"hello"


def sent_whole(lines: Lines) -> bool:
    """Whether `framed` is the whole body: else the edge rightly waits for more."""
    lengths = [FIELD.fullmatch(line) for line in lines]
    return all(m is None or m[1].lower() != b"content-length" or int(m[2] or 0) <= 5 for m in lengths)


@pytest.mark.parametrize("pattern", TERMINATING)
def test_only_one_exact_transfer_coding_frames_a_request(ground: Ground, pattern: str) -> None:
    """H02. Some 800 spellings of Transfer-Encoding; all in one pattern, a part of them in the others."""
    step = 1 if pattern == "plaintext" else 23
    for lines in itertools.islice(te_lines(), 0, None, step):
        lookalike = in_order(lines) and not any(FIELD.fullmatch(x)[1].lower() == b"transfer-encoding" for x in lines)  # type: ignore[index]
        body = b"" if lookalike else framed(lines)
        status = judge(
            ground, pattern, request(HOSTS[pattern], *lines, body=body), refused=not in_order(lines), clean=False
        )
        assert in_order(lines) or status in {0, 400, 501}, (lines, status)
    ground.clean(pattern)


@pytest.mark.parametrize("pattern", TERMINATING)
def test_only_one_plain_number_is_a_content_length(ground: Ground, pattern: str) -> None:
    """H03."""
    step = 1 if pattern == "plaintext" else 7
    for lines in itertools.islice(cl_lines(), 0, None, step):
        if in_order(lines) and not sent_whole(lines):
            continue
        named = all(FIELD.fullmatch(x) and FIELD.fullmatch(x)[1].lower() == b"content-length" for x in lines)  # type: ignore[index]
        body = b"hello"[: int(lines[0].split(b":")[1])] if in_order(lines) and named else b"hello"
        if in_order(lines) and not named:
            body = b""
        judge(ground, pattern, request(HOSTS[pattern], *lines, body=body), refused=not in_order(lines), clean=False)
    ground.clean(pattern)


@pytest.mark.parametrize("pattern", TERMINATING)
def test_length_and_coding_together_are_refused_in_every_order(ground: Ground, pattern: str) -> None:
    """H01. Both orders, twice each, with fields between, and in HTTP/1.0."""
    te, cl, other = b"Transfer-Encoding: chunked", b"Content-Length: 15", b"X: y"
    for lines in {*itertools.permutations((te, cl, other)), (te, te, cl), (cl, te, te), (cl, cl, te), (cl, te, cl)}:
        status = judge(ground, pattern, request(HOSTS[pattern], *lines, body=CHUNKED_BODY), refused=True)
        assert status in {400, 501}, (lines, status)
    old = request(HOSTS[pattern], te, body=CHUNKED_BODY).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    judge(ground, pattern, old, refused=True)


CHUNKS = [
    b"5\nhello\n0\n\n",
    b"5\rhello\r0\r\r",
    b"5\r\nhello0\r\n\r\n",
    b"5\r\nhello\n0\r\n\r\n",
    b"5;a=b\nhello\r\n0\r\n\r\n",
    b"5;a\x00=b\r\nhello\r\n0\r\n\r\n",
    b"5;" + b"a" * 65_536 + b"\r\nhello\r\n0\r\n\r\n",
    b"0x5\r\nhello\r\n0\r\n\r\n",
    b"5_0\r\nhello\r\n0\r\n\r\n",
    b"+5\r\nhello\r\n0\r\n\r\n",
    b"-1\r\nhello\r\n0\r\n\r\n",
    b" 5\r\nhello\r\n0\r\n\r\n",
    b"5 \r\nhello\r\n0\r\n\r\n",
    b"\r\nhello\r\n0\r\n\r\n",
    b"00000000000000005\r\nhello\r\n0\r\n\r\n",
    b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhelloX\r\n0\r\n\r\n",
    b"4\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\r\n0\r\nbad line\r\n\r\n",
    b"5\r\nhello\r\n0\r\n folded: x\r\n\r\n",
    b"5\r\nhello\r\n0\r\nA: b\nC: d\r\n\r\n",
]


@pytest.mark.parametrize("pattern", TERMINATING)
@pytest.mark.parametrize("body", CHUNKS, ids=range(len(CHUNKS)))
def test_a_chunk_that_can_be_read_in_two_ways_ends_the_connection(ground: Ground, pattern: str, body: bytes) -> None:
    """H04."""
    judge(ground, pattern, request(HOSTS[pattern], b"Transfer-Encoding: chunked", body=body), refused=True)


@pytest.mark.parametrize("pattern", TERMINATING)
def test_chunks_are_written_anew_and_trailers_that_would_be_believed_are_dropped(ground: Ground, pattern: str) -> None:
    """H04."""
    trailers = b"Host: evil\r\nContent-Length: 3\r\nTransfer-Encoding: x\r\nAuthorization: z\r\nX-Forwarded-For: 6.6.6.6\r\nX-Sum: 1\r\n"
    body = b"1;ext=a\r\nh\r\n4;b\r\nello\r\n0\r\n" + trailers + b"\r\n"
    with watched(ground, pattern) as seen, ground.connect(pattern) as sock:
        sock.sendall(request(HOSTS[pattern], b"Transfer-Encoding: chunked", body=body))
        assert response(sock)[0] == 200
        ground.clean(pattern, sock)
    arrived = b"".join(seen)
    assert by_h11(arrived)[0][2] == b"hello"
    assert not re.search(rb"evil|ext=|;b|authorization|6\.6\.6\.6|content-length: 3", arrived, re.I), arrived
    assert re.search(rb"x-sum: 1", arrived, re.I)


# Every byte in every position.

POSITIONS = {
    "method": b"G\x00T /attack HTTP/1.1\r\nHost: %s\r\n\r\n",
    "target": b"GET /at\x00tack HTTP/1.1\r\nHost: %s\r\n\r\n",
    "version": b"GET /attack HTTP/1\x001\r\nHost: %s\r\n\r\n",
    "minor version": b"GET /attack HTTP/1.\x00\r\nHost: %s\r\n\r\n",
    "before the method": b"\x00GET /attack HTTP/1.1\r\nHost: %s\r\n\r\n",
    "after the version": b"GET /attack HTTP/1.1\x00\r\nHost: %s\r\n\r\n",
    "name": b"GET /attack HTTP/1.1\r\nHost: %s\r\nX-\x00A: b\r\n\r\n",
    "after the name": b"GET /attack HTTP/1.1\r\nHost: %s\r\nX-A\x00: b\r\n\r\n",
    "before the name": b"GET /attack HTTP/1.1\r\nHost: %s\r\n\x00X-A: b\r\n\r\n",
    "value": b"GET /attack HTTP/1.1\r\nHost: %s\r\nX-A: b\x00b\r\n\r\n",
    "host": b"GET /attack HTTP/1.1\r\nHost: %s\x00\r\n\r\n",
    "line end": b"GET /attack HTTP/1.1\r\nHost: %s\r\nX-A: b\x00\nX-B: c\r\n\r\n",
    "chunk size": b"POST /attack HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\n\r\n5\x00\r\nhello\r\n0\r\n\r\n",
}
TCHAR = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
MUST: dict[str, frozenset[int]] = {
    # Bytes that are refused for sure: all that the grammar does not allow there.
    "method": frozenset(range(256)) - TCHAR,
    # Browsers send some of what RFC 3986 excludes (`|`, `^`); nobody reads it in two ways.
    "target": frozenset(range(0x21)) | frozenset(range(0x7F, 256)) | frozenset(b"#\\"),
    "version": frozenset(range(256)) - frozenset(b"."),
    "minor version": frozenset(range(256)) - frozenset(b"01"),
    "before the method": frozenset(range(256)) - TCHAR,
    "after the version": frozenset(range(256)),
    "name": frozenset(range(256)) - TCHAR - frozenset(b":"),
    "after the name": frozenset(range(256)) - TCHAR - frozenset(b":"),
    "before the name": frozenset(range(256)) - TCHAR,
    "value": (frozenset(range(0x20)) | frozenset([0x7F])) - frozenset(b"\t"),
    # A colon alone names no port (RFC 3986 section 3.2.3).
    "host": frozenset(range(256))
    - {ord(":")}
    - frozenset(b".\t ")
    - frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"),
    "line end": frozenset(range(256)) - frozenset(b"\r"),
    "chunk size": frozenset(range(256)) - frozenset(b"0123456789abcdefABCDEF;"),
}


@pytest.mark.parametrize("position", POSITIONS)
def test_every_byte_in_every_position_is_refused_or_forwarded_as_one_request(ground: Ground, position: str) -> None:
    """H05, H06. 256 bytes in each of thirteen positions."""
    template = POSITIONS[position].replace(b"%s", b"a.test")
    for byte in range(256):
        if position == "chunk size" and bytes([byte]) in b"0123456789abcdefABCDEF":
            continue  # a longer chunk, of which the edge rightly waits for the rest
        sent = template.replace(b"\x00", bytes([byte]))
        judge(ground, "plaintext", sent, refused=True if byte in MUST[position] else None, clean=False)
    ground.clean()


LINES = [
    b"GET  /attack HTTP/1.1",
    b"GET\t/attack\tHTTP/1.1",
    b"GET /attack  HTTP/1.1",
    b" GET /attack HTTP/1.1",
    b"GET /attack HTTP/1.1 ",
    b"GET /attack HTTP/1.2",
    b"GET /attack HTTP/2.0",
    b"GET /attack HTTP/0.9",
    b"GET /attack HTTP/01.1",
    b"GET /attack HTTP/1.01",
    b"GET /attack http/1.1",
    b"GET /attack",
    b"GET /attack HTTP/1.1\r\n\r\nGET /b HTTP/1.1",
    b"GET attack HTTP/1.1",
    b"GET /attack#frag HTTP/1.1",
    b"GET \\attack HTTP/1.1",
    b"GET * HTTP/1.1",
    b"GET http:// HTTP/1.1",
    b"GET ftp://a.test/ HTTP/1.1",
    b"GET https://u@a.test/attack HTTP/1.1",
    b"GET https://other.test/attack HTTP/1.1",
    b"CONNECT a.test:443 HTTP/1.1",
    b"G(T /attack HTTP/1.1",
    b"PRI * HTTP/2.0",
]
HOST_FIELDS = [
    b"",
    b"Host: \r\n",
    b"Host: a.test\r\nHost: a.test\r\n",
    b"Host: a.test\r\nHost: b.test\r\n",
    b"Host: a.test, b.test\r\n",
    b"Host: a.test:99999\r\n",
    b"Host: a.test:\x00\r\n",
    b"Host: a.test:4 4\r\n",
    b"Host: [::1\r\n",
    b"Host: u@a.test\r\n",
    b"Host: a.test/x\r\n",
    b"Host: a.test?x\r\n",
    b"Host: a..test\r\n",
    b"Host: .a.test\r\n",
    b"Host : a.test\r\n",
    b"Host\r\n",
    b": a.test\r\n",
]


@pytest.mark.parametrize("pattern", TERMINATING)
def test_a_request_line_or_host_that_is_not_exact_is_refused(ground: Ground, pattern: str) -> None:
    """H05, H06."""
    host = HOSTS[pattern].encode()
    for line in LINES:
        if b"\r\n\r\n" in line:
            continue
        judge(ground, pattern, line + b"\r\nHost: " + host + b"\r\n\r\n", refused=True, clean=False)
    for field in HOST_FIELDS:
        judge(
            ground,
            pattern,
            b"GET /attack HTTP/1.1\r\n" + field.replace(b"a.test", host) + b"\r\n",
            refused=True,
            clean=False,
        )
    ground.clean(pattern)


@pytest.mark.parametrize("pattern", TERMINATING)
def test_an_absolute_target_wins_over_host_which_is_rewritten(ground: Ground, pattern: str) -> None:
    """H06."""
    host = HOSTS[pattern]
    with watched(ground, pattern) as seen, ground.connect(pattern) as sock:
        sock.sendall(f"GET https://{host}/abs?x=1 HTTP/1.1\r\nHost: nobody.test\r\n\r\n".encode())
        assert response(sock)[0] == 200
    arrived = b"".join(seen)
    assert arrived.startswith(b"GET /abs?x=1 HTTP/1.1\r\nhost: " + host.encode()), arrived
    assert b"nobody.test" not in arrived


@pytest.mark.parametrize("pattern", TERMINATING)
def test_requests_that_follow_each_other_are_read_where_the_first_one_ends(ground: Ground, pattern: str) -> None:
    """H07. CL.0, 0.CL, GET with a body, and answers of our own before a body was read."""
    host = HOSTS[pattern].encode()
    inner = b"GET /inner HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"
    cases = [
        (b"GET /first HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s" % (host, len(inner), inner), [200]),
        (b"POST /first HTTP/1.1\r\nHost: %s\r\nContent-Length: 0\r\n\r\n%s" % (host, inner), [200, 200]),
        (b"POST /first HTTP/1.1\r\nHost: nobody.test\r\nContent-Length: %d\r\n\r\n%s" % (len(inner), inner), [421]),
        (b"DELETE /first HTTP/1.1\r\nHost: %s\r\n\r\n%s" % (host, inner), [200, 200]),
        (b"OPTIONS /first HTTP/1.1\r\nHost: %s\r\nContent-Length: 2\r\n\r\nok%s" % (host, inner), [200, 200]),
    ]
    for sent, statuses in cases:
        with watched(ground, pattern) as seen, ground.connect(pattern) as sock:
            sock.sendall(sent)
            assert [response(sock)[0] for _ in statuses] == statuses, sent
            ground.clean(pattern, sock)
        arrived = requests_in(seen)
        targets = [r[1] for r in arrived]
        assert targets.count(b"/inner") == (1 if len(statuses) == 2 else 0), (sent, targets)
        assert [r for data in seen for r in by_httptools(data)] == arrived


@pytest.mark.parametrize("pattern", TERMINATING)
def test_no_connection_field_takes_away_what_the_edge_says_of_the_client(ground: Ground, pattern: str) -> None:
    """H10."""
    nominated = (
        b"X-Forwarded-For, X-Real-IP, X-Forwarded-Proto, Forwarded, Client-Cert, Host, Content-Length, X-Mine, close"
    )
    with watched(ground, pattern) as seen, ground.connect(pattern) as sock:
        sock.sendall(
            request(
                HOSTS[pattern],
                b"Connection: " + nominated,
                b"X-Mine: 1",
                b"Keep-Alive: timeout=5",
                b"Proxy-Connection: x",
                b"Proxy-Authorization: x",
                b"TE: gzip",
                b"Content-Length: 5",
                body=b"hello",
            )
        )
        assert response(sock)[0] == 200
    arrived = b"".join(seen).lower()
    for kept in (
        b"\r\nx-forwarded-for: 127.0.0.1",
        b"\r\nx-real-ip: 127.0.0.1",
        b"\r\nforwarded: for=",
        b"\r\nhost: ",
        b"content-length: 5",
    ):
        assert kept in arrived, (kept, arrived)
    for gone in (b"x-mine", b"keep-alive", b"proxy-", b"\r\nte:"):
        assert gone not in arrived, (gone, arrived)


@pytest.mark.parametrize("pattern", TERMINATING)
def test_upgrades_and_expectations_that_nobody_asked_for_do_not_open_a_tunnel(ground: Ground, pattern: str) -> None:
    """H08, H09."""
    inner = b"GET /inner HTTP/1.1\r\nHost: %s\r\n\r\n" % HOSTS[pattern].encode()
    offer = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA")
    with watched(ground, pattern) as seen, ground.connect(pattern) as sock:
        sock.sendall(request(HOSTS[pattern], *offer, method=b"GET") + inner)
        assert [response(sock)[0], response(sock)[0]] == [200, 200]
    arrived = b"".join(seen)
    assert not re.search(rb"upgrade|http2-settings", arrived, re.I), arrived
    assert [r[1] for r in requests_in(seen)] == [b"/attack", b"/inner"]
    # What is more than an offer is refused, and what stands behind it was meant for another protocol.
    lines = (b"Connection: Upgrade", b"Upgrade: foo")
    with watched(ground, pattern) as seen, ground.connect(pattern) as sock:
        sock.sendall(request(HOSTS[pattern], *lines, method=b"GET") + inner)
        assert [response(sock)[0], response(sock)[0]] == [400, 0]
    assert seen == []
    for value in (b"200-ok", b"100-continue, 100-continue", b"100-continuex", b"100-continue;q=1"):
        lines = (b"Expect: " + value, b"Content-Length: 5")
        status = judge(ground, pattern, request(HOSTS[pattern], *lines, body=b"hello"), refused=True)
        assert status == 417, (value, status)

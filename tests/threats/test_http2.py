"""HTTP/2: what cannot stand in HTTP/1 never gets there, and no client holds more than it paid for."""

from __future__ import annotations

import itertools
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.threats.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PING,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Client,
    fields,
    frame,
    literal,
)
from tests.threats.ground import HOSTS, TERMINATING, Ground, by_h11, requests_in, watched

ENHANCE_YOUR_CALM = 11


def speak(ground: Ground, pattern: str = "plaintext", settings: bytes = b"") -> Client:
    sock = ground.connect(pattern, alpn=["h2"])
    assert sock.selected_alpn_protocol() == "h2"
    return Client(sock, settings)


def engine_pid(ground: Ground) -> int:
    """By its control socket: the child of the supervisor."""
    children = (
        Path(f"/proc/{ground.edge.edge.process.pid}/task/{ground.edge.edge.process.pid}/children").read_text().split()
    )
    return int(children[0])


def spent(ground: Ground) -> tuple[float, int]:
    """CPU seconds and resident KiB of the engine."""
    pid = engine_pid(ground)
    cpu = sum(int(p.read_text().split()[0]) for p in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9
    rss = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert rss
    return cpu, int(rss[1])


FORBIDDEN: list[tuple[str, list[tuple[bytes, bytes]]]] = [
    ("upper case", [(b"Bad", b"x")]),
    ("empty name", [(b"", b"x")]),
    ("connection", [(b"connection", b"close")]),
    ("keep-alive", [(b"keep-alive", b"x")]),
    ("proxy-connection", [(b"proxy-connection", b"x")]),
    ("transfer-encoding", [(b"transfer-encoding", b"chunked")]),
    ("upgrade", [(b"upgrade", b"websocket")]),
    ("te", [(b"te", b"gzip")]),
    ("two lengths", [(b"content-length", b"0"), (b"content-length", b"1")]),
    ("length that lies", [(b"content-length", b"5")]),
    ("length no number", [(b"content-length", b"+0")]),
    ("late pseudo", [(b"a", b"b"), (b":path", b"/x")]),
    ("unknown pseudo", [(b":foo", b"x")]),
    ("pseudo of a response", [(b":status", b"200")]),
    ("host differs", [(b"host", b"other.test")]),
    ("two hosts", [(b"host", b"a.test"), (b"host", b"a.test")]),
    ("two authorizations", [(b"authorization", b"a"), (b"authorization", b"b")]),
]


@pytest.mark.parametrize("pattern", TERMINATING)
@pytest.mark.parametrize(("what", "more"), FORBIDDEN, ids=[n for n, _ in FORBIDDEN])
def test_a_field_list_that_http2_forbids_reaches_nobody(
    ground: Ground, pattern: str, what: str, more: list[tuple[bytes, bytes]]
) -> None:
    """P04. In every pattern; then a clean request on the same connection, if it goes on, and on a new one."""
    with watched(ground, pattern) as seen:
        it = speak(ground, pattern)
        assert it.ask(1, fields(HOSTS[pattern], *more)) in {"400", "reset", "gone"}, what
        if not it.closed and it.goaway is None:
            assert it.ask(3, fields(HOSTS[pattern], path=b"/clean")) == "200"
    requests = [r for r in requests_in(seen) if r[1] != b"/clean"]
    assert not requests, requests
    ground.clean(pattern)


@pytest.mark.parametrize("pattern", TERMINATING)
def test_an_expectation_that_nobody_understands_is_refused_as_in_http1(ground: Ground, pattern: str) -> None:
    """H08, P04."""
    it = speak(ground, pattern)
    with watched(ground, pattern) as seen:
        for stream, more in enumerate(([b"0"], [b"200-ok"], [b"100-continue"] * 2, [b"100-continue;q=1"])):
            block = fields(HOSTS[pattern], *[(b"expect", value) for value in more])
            assert it.ask(2 * stream + 1, block) == "417", more
    assert seen == []
    assert it.ask(9, fields(HOSTS[pattern], (b"expect", b"100-continue"), path=b"/clean")) == "200"
    ground.clean(pattern)


PLACES = ("name", "value", "method", "path", "authority", "scheme")


@pytest.mark.parametrize("place", PLACES)
def test_every_byte_in_every_place_of_a_field_list_is_refused_or_forwarded_as_one_request(
    ground: Ground, place: str
) -> None:
    """P04. 256 bytes in six places: none of them makes a second request or another field."""
    must = {
        "name": set(range(256)) - set(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"),
        "value": {0, 10, 13},
        "method": set(range(0x21)) | set(range(0x7F, 256)) | set(b'"(),/:;<=>?@[\\]{}'),
        # From `#` on, the `h2` crate takes nothing of a path: judged, logged and forwarded is what stands before it.
        "path": set(range(0x21)) | set(range(0x7F, 256)) | set(b"\\"),
        "authority": set(range(0x21)) | set(range(0x7F, 256)) | set(b"/?#@\\,<>"),
        "scheme": set(range(0x21)) | set(range(0x7F, 256)),
    }[place]
    it = speak(ground)
    stream = 1
    for byte in range(256):
        if it.closed or it.goaway is not None:
            it, stream = speak(ground), 1
        b = bytes([byte])
        lists = {
            "name": fields("a.test", (b"x" + b + b"y", b"v")),
            "value": fields("a.test", (b"x-y", b"v" + b + b"w")),
            "method": fields("a.test", method=b"G" + b + b"T"),
            "path": fields("a.test", path=b"/at" + b + b"tack"),
            "authority": fields("a.test").replace(
                literal(b":authority", b"a.test"), literal(b":authority", b"a" + b + b".test")
            ),
            "scheme": fields("a.test").replace(literal(b":scheme", b"https"), literal(b":scheme", b"ht" + b + b"ps")),
        }
        with watched(ground, "plaintext") as seen:
            outcome = it.ask(stream, lists[place])
        stream += 2
        arrived = b"".join(seen)
        if outcome == "200":
            assert byte not in must, (place, byte, arrived)
            assert len(by_h11(arrived)) == 1, arrived
            assert place != "path" or b != b"#" or arrived.startswith(b"GET /at HTTP/1.1\r\n"), arrived
        else:
            assert arrived == b"", (place, byte, outcome, arrived)
    ground.clean()


def test_data_that_differs_from_its_length_never_becomes_a_request(ground: Ground) -> None:
    """P04."""
    for body, length in ((b"hello", b"4"), (b"hello", b"6"), (b"", b"1")):
        it = speak(ground)
        with watched(ground, "plaintext") as seen:
            head = fields("a.test", (b"content-length", length), method=b"POST")
            it.send(frame(HEADERS, head, flags=END_HEADERS, stream=1))
            it.send(frame(DATA, body, flags=END_STREAM, stream=1))
            assert it.outcome(1) in {"400", "reset", "gone"}
        assert not requests_in(seen), seen
    ground.clean()


def floods() -> dict[str, Iterator[bytes]]:
    head = fields("a.test")
    return {
        "PING": itertools.repeat(frame(PING, b"\0" * 8), 60_000),
        "SETTINGS": itertools.repeat(frame(SETTINGS, b"\0\x04\0\0\xff\xff"), 60_000),
        "PRIORITY": itertools.repeat(frame(PRIORITY, b"\0\0\0\0\x10", stream=1), 60_000),
        "unknown type": itertools.repeat(frame(0xBB, b"grease"), 60_000),
        "empty DATA": itertools.chain(
            [frame(HEADERS, fields("a.test", method=b"POST"), flags=END_HEADERS, stream=1)],
            itertools.repeat(frame(DATA, stream=1), 60_000),
        ),
        "CONTINUATION": itertools.chain(
            [frame(HEADERS, head, stream=1)],
            itertools.repeat(frame(CONTINUATION, literal(b"a", b"b"), stream=1), 60_000),
        ),
        "empty CONTINUATION": itertools.chain(
            [frame(HEADERS, head, stream=1)], itertools.repeat(frame(CONTINUATION, stream=1), 60_000)
        ),
        "resets of a stream that is over": itertools.chain(
            [frame(HEADERS, head, flags=END_HEADERS | END_STREAM, stream=1)],
            itertools.repeat(frame(RST_STREAM, b"\0\0\0\x08", stream=1), 60_000),
        ),
        "windows that nobody used up": itertools.repeat(frame(WINDOW_UPDATE, b"\0\0\x01\x00"), 60_000),
        "rapid reset": (
            frame(HEADERS, head, flags=END_HEADERS | END_STREAM, stream=s) + frame(RST_STREAM, b"\0\0\0\x08", stream=s)
            for s in range(1, 60_001, 2)
        ),
        "resets that the server makes": (
            frame(HEADERS, head, flags=END_HEADERS | END_STREAM, stream=s) + frame(WINDOW_UPDATE, b"\0\0\0\0", stream=s)
            for s in range(1, 60_001, 2)
        ),
        "DATA after the end": (
            frame(HEADERS, head, flags=END_HEADERS | END_STREAM, stream=s)
            + frame(DATA, b"x", flags=END_STREAM, stream=s)
            for s in range(1, 60_001, 2)
        ),
        "malformed requests": (
            frame(HEADERS, fields("a.test", (b"connection", b"x")), flags=END_HEADERS | END_STREAM, stream=s)
            for s in range(1, 60_001, 2)
        ),
    }


@pytest.mark.parametrize("kind", list(floods()))
def test_a_flood_of_frames_ends_the_connection_within_a_cpu_second_and_64_mib(ground: Ground, kind: str) -> None:
    """P01, P02."""
    cpu, rss = spent(ground)
    it = speak(ground)
    took = it.flood(floods()[kind])
    cpu_after, rss_after = spent(ground)
    print(f"{kind}: cut after {took} frames, {cpu_after - cpu:.2f} CPU s, {(rss_after - rss) / 1024:.1f} MiB")
    assert it.closed or it.goaway, f"{took} frames and still open"
    assert cpu_after - cpu < 3, "a development build's; a third of it in the released one"
    assert rss_after - rss < 64 * 1024
    ground.clean()


def test_a_header_bomb_is_refused_in_bounded_memory(ground: Ground) -> None:
    """P03. A kilobyte in the dynamic table, referred to by one byte sixteen thousand times, on a hundred streams."""
    cpu, rss = spent(ground)
    it = speak(ground)
    # Literal with indexing (RFC 7541 §6.2.1), then index 62: the newest entry.
    value = b"v" * 1000
    first = b"\x40\x01a" + b"\x7f" + bytes([(1000 - 127) % 128 + 128, (1000 - 127) // 128]) + value
    for stream in range(1, 201, 2):
        block = fields("a.test") + (first if stream == 1 else b"") + b"\xbe" * 15_000
        if not it.send(frame(HEADERS, block, flags=END_HEADERS | END_STREAM, stream=stream)):
            break
    it.sock.settimeout(5)
    assert it.outcome(1) in {"431", "reset", "gone"}
    for _ in it.read():
        if it.goaway or len(it.statuses) + len(it.resets) >= 100:
            break
    cpu_after, rss_after = spent(ground)
    assert set(it.statuses.values()) <= {"431"}
    assert rss_after - rss < 64 * 1024 and cpu_after - cpu < 5, (rss_after - rss, cpu_after - cpu)
    ground.clean()


def test_crumbs_of_a_cookie_count_as_fields(ground: Ground) -> None:
    """P03."""
    it = speak(ground)
    crumbs = [(b"cookie", b"a%d=b" % i) for i in range(129)]
    assert it.ask(1, fields("a.test", *crumbs)) in {"431", "reset"}
    with watched(ground, "plaintext") as seen:
        assert it.ask(3, fields("a.test", *crumbs[:50])) == "200"
    assert b"".join(seen).lower().count(b"\r\ncookie: ") == 1


def test_an_extended_connect_opens_no_tunnel_but_a_websocket_that_the_backend_takes(ground: Ground) -> None:
    """P05. RFC 8441 §5: a success would be an open tunnel, and the backend's plain 200 is none."""
    it = speak(ground)

    def asked(protocol: bytes) -> bytes:
        path = literal(b":path", b"/attack")
        return fields("a.test", method=b"CONNECT").replace(path, path + literal(b":protocol", protocol))

    with watched(ground, "plaintext") as seen:
        for stream, protocol in enumerate((b"connect-udp", b"tcp", b"WebSocket2", b"")):
            assert it.ask(2 * stream + 1, asked(protocol), end=False) in {"400", "405", "501", "reset", "gone"}
    assert not seen
    it = speak(ground)
    with watched(ground, "plaintext") as seen:
        assert it.ask(1, asked(b"websocket"), end=False) == "502"
    assert b"".join(seen).startswith(b"GET /attack HTTP/1.1\r\n")
    ground.clean()


@pytest.mark.parametrize("pattern", TERMINATING)
def test_a_second_request_to_another_host_gets_its_answer_or_a_421_and_never_another_tls(
    ground: Ground, pattern: str
) -> None:
    """T05. One connection, many authorities: hosts of the same site, of one that demands a certificate, of passthrough."""
    it = speak(ground, pattern)
    expected = {
        "a.test": "200",
        "b.test": "200",
        "c.test": "200",
        "m.test": "421",
        "pass.test": "421",
        "nobody.test": "421",
    }
    with watched(ground, "private") as private, watched(ground, "passthrough") as passed:
        for stream, (host, status) in zip(range(1, 99, 2), expected.items(), strict=False):
            assert it.ask(stream, fields(host)) == status, host
    assert private == passed == [], "nothing came there"
    assert it.ask(99, fields(HOSTS[pattern], path=b"/clean")) == "200", "the connection goes on"


def test_a_reader_that_opens_no_window_is_let_go(ground: Ground, pki: object) -> None:
    """P03. A hundred answers that the client never lets through hold little, and end with the connection."""
    cpu, rss = spent(ground)
    it = speak(ground, settings=b"\0\x04\0\0\0\0")
    for stream in range(1, 201, 2):
        it.send(frame(HEADERS, fields("a.test"), flags=END_HEADERS | END_STREAM, stream=stream))
    deadline = time.monotonic() + 10
    it.sock.settimeout(1)
    while len(it.statuses) < 100 and time.monotonic() < deadline:
        for _ in it.read():
            if len(it.statuses) >= 100:
                break
    assert set(it.statuses.values()) == {"200"}
    assert spent(ground)[1] - rss < 64 * 1024 and spent(ground)[0] - cpu < 3
    ground.clean()
    it.sock.close()
    ground.clean()


def test_h2load_still_passes_beside_all_that(ground: Ground) -> None:
    """P06. The same edge serves real clients afterwards."""
    where = ["--connect-to", f"127.0.0.1:{ground.edge.port}", f"https://a.test:{ground.edge.port}/"]
    done = subprocess.run(
        ["h2load", "-n", "500", "-c", "4", "-m", "10", *where], capture_output=True, text=True, timeout=60, check=False
    )
    assert "500 succeeded, 0 failed" in done.stdout, done.stdout

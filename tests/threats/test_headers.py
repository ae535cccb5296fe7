"""Header trust: only the edge says who the client is. What a client says of itself is taken away in every spelling,
what a trusted proxy says is believed up to the first stranger, and a PROXY header is read exactly or not at all."""

from __future__ import annotations

import base64
import contextlib
import itertools
import re
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.kit import EdgeKit, Pki, Raw
from tests.kit.edge import until
from tests.kit.raw import take
from tests.kit.settle import settle, watching
from tests.threats.frames import DATA, END_HEADERS, END_STREAM, HEADERS, fields, frame, literal
from tests.threats.ground import HOSTS, TERMINATING, Ground, serving, watched
from tests.threats.hello import named
from tests.threats.talk import PROTOCOLS, Noting, Pair, Talk, arrivals, dial, read_h1

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

STRANGER, TRUSTED = "127.0.0.1", "127.0.0.9"
MARK = b"6.6.6.6"
NAMES = (
    b"X-Forwarded-For",
    b"X-Forwarded-Proto",
    b"X-Forwarded-Host",
    b"X-Forwarded-Port",
    b"X-Forwarded-Prefix",
    b"X-Forwarded-Server",
    b"X-Forwarded-Ssl",
    b"X-Forwarded-User",
    b"X-Forwarded-Client-Cert",
    b"X-Forwarded-Tls-Client-Cert",
    b"Forwarded",
    b"X-Real-IP",
    b"X-Client-IP",
    b"X-Cluster-Client-IP",
    b"True-Client-IP",
    b"X-Request-ID",
    b"X-Remote-User",
    b"X-Original-URL",
    b"X-Original-Forwarded-For",
    b"X-Rewrite-URL",
    b"Client-Cert",
    b"Client-Cert-Chain",
    b"X-Client-Cert",
    b"X-SSL-Client-Cert",
    b"X-SSL-Client-Verify",
    b"X-SSL-Client-S-DN",
    b"SSL-Client-Verify",
    b"X-TLS-Client-Cert",
)
CASES: tuple[Callable[[bytes], bytes], ...] = (bytes.lower, bytes.upper, bytes.title, bytes.swapcase)
"""What the edge itself says; `Host` and what frames the message aside, nothing else may say who asks."""
OURS = {"x-forwarded-proto", "x-forwarded-host", "x-forwarded-for", "x-real-ip", "forwarded", "x-request-id"}
CLAIMS = re.compile(
    r"x-forwarded|forwarded|x-real-ip|.*client-ip|x-request-id|x-remote|x-original|x-rewrite|.*client-cert|.*ssl-|x-tls"
)


def spellings(name: bytes) -> Iterator[bytes]:
    """Every dash as itself, an underscore or a dot, all alike and one by one."""
    places = [i for i, b in enumerate(name) if b == ord("-")]
    yield name
    for other in b"_.":
        yield name.replace(b"-", bytes([other]))
        for at in places[1:]:
            yield name[:at] + bytes([other]) + name[at + 1 :]


def forged() -> list[Pair]:
    """Name x spelling x case x once or twice."""
    found: list[Pair] = []
    for name in NAMES:
        for spelling, case in itertools.product(dict.fromkeys(spellings(name)), CASES):
            found.append((case(spelling), MARK))
        found += [(name, MARK), (name, b"for=" + MARK + b";host=" + MARK)]
    return found


def batches(pairs: list[Pair], size: int) -> Iterator[list[Pair]]:
    for at in range(0, len(pairs), size):
        yield pairs[at : at + size]


@pytest.mark.parametrize("source", [STRANGER, TRUSTED])
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("pattern", TERMINATING)
def test_nothing_that_a_client_says_of_itself_is_passed_on(
    ground: Ground, pattern: str, protocol: str, source: str
) -> None:
    """X01, X02. Some five hundred forged fields; of a trusted peer only X-Forwarded-For itself is read, and not its twins."""
    host = HOSTS[pattern]
    pairs = [p for p in forged() if source == STRANGER or p[0].lower() != b"x-forwarded-for"]
    assert len(pairs) > 450
    with Talk(ground.edge.port, ground.pki, host, protocol, source) as talk:
        with watched(ground, pattern) as seen:
            for batch in batches(pairs, 80):
                assert talk.ask(b"/attack", *batch, (b"X-Kept", b"yes")).status == 200
            assert talk.ask(b"/clean").status == 200
        assert talk.opened == 1
    arrived = list(arrivals(seen))
    assert len(arrived) == -(-len(pairs) // 80) + 1
    for it in arrived:
        assert MARK.decode() not in str(it), it
        claims = [n for n, _ in it.fields if CLAIMS.fullmatch(re.sub("[_.]", "-", n.lower())[:40]) or n in OURS]
        assert sorted(claims) == sorted(OURS), it
        assert it.one("x-forwarded-for") == it.one("x-real-ip") == source
        assert it.one("x-forwarded-proto") == "https" and it.one("x-forwarded-host") == it.one("host") == host
        assert it.one("forwarded") == f'for={source};proto=https;host="{host}"'
        assert it.all("x-kept") == ([] if it.target == "/clean" else ["yes"])
    ids = {it.one("x-request-id") for it in arrived}
    assert len(ids) == len(arrived)
    until(lambda: ids <= {line["id"] for line in ground.edge.lines()})
    ground.clean(pattern)


@pytest.mark.parametrize("pattern", TERMINATING)
def test_a_twin_of_a_field_that_frames_the_message_is_dropped(ground: Ground, pattern: str) -> None:
    """X02. To a backend that reads `_` as `-` it would be another length."""
    twins = [(b"Content_Length", b"5"), (b"Content.Length", b"5"), (b"Transfer_Encoding", b"chunked")]
    twins += [(b"TRANSFER_ENCODING", b"chunked"), (b"transfer.encoding", b"x"), (b"CONTENT_LENGTH", b"9")]
    for protocol in PROTOCOLS:
        with watched(ground, pattern) as seen, Talk(ground.edge.port, ground.pki, HOSTS[pattern], protocol) as talk:
            assert talk.ask(b"/attack", *twins).status == 200
        for it in arrivals(seen):
            assert not [n for n, _ in it.fields if re.fullmatch("content.length|transfer.encoding", n.lower())], it
    ground.clean(pattern)


@pytest.mark.parametrize("pattern", TERMINATING)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_trailer_says_who_the_client_is(ground: Ground, pattern: str, protocol: str) -> None:
    """X01, X02. Some backends merge trailers into the fields."""
    host = HOSTS[pattern]
    names = list(dict.fromkeys(s.lower() for name in NAMES for s in spellings(name)))
    for batch in batches([(n, MARK) for n in names], 40):
        trailers = [*batch, (b"x-sum", b"1")]
        with watched(ground, pattern) as seen:
            sock = dial(ground.edge.port, ground.pki, host, alpn=[protocol])
            if protocol == "h2":
                it = Noting(sock)
                it.send(frame(HEADERS, fields(host, method=b"POST"), flags=END_HEADERS, stream=1))
                it.send(frame(DATA, b"hello", stream=1))
                block = b"".join(literal(n, v) for n, v in trailers)
                it.send(frame(HEADERS, block, flags=END_HEADERS | END_STREAM, stream=1))
                assert it.whole(1) == "200"
            else:
                lines = b"".join(b"%s: %s\r\n" % t for t in trailers)
                head = b"POST /attack HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\n\r\n" % host.encode()
                sock.sendall(head + b"5\r\nhello\r\n0\r\n" + lines + b"\r\n")
                assert read_h1(sock).status == 200
            sock.close()
        arrived = b"".join(seen)
        assert b"hello" in arrived and b"x-sum: 1" in arrived.lower(), arrived
        assert MARK not in arrived, arrived
    ground.clean(pattern)


QUOTING = [
    b'for="[::1]:1";proto=https, for=',
    b'for="6.6.6.6',
    b'for=6.6.6.6, for="',
    b'for=6.6.6.6;host="a\\"b";proto=http',
    b'for="6.6.6.6\\", for=\\"7.7.7.7"',
    b"for=_hidden, for=unknown",
    b"for=6.6.6.6;by=6.6.6.6;secret=1",
    b"For=6.6.6.6;FOR=6.6.6.6",
    b"for = 6.6.6.6",
    b",,;;",
    b"",
]


@pytest.mark.parametrize("source", [STRANGER, TRUSTED])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_forwarded_is_ours_however_it_was_quoted(ground: Ground, protocol: str, source: str) -> None:
    """X01. No quote that is left open there swallows or adds what we say."""
    with watched(ground, "mutual") as seen, Talk(ground.edge.port, ground.pki, "c.test", protocol, source) as talk:
        for text in QUOTING:
            assert talk.ask(b"/attack", (b"Forwarded", text)).status == 200
            assert talk.ask(b"/attack", (b"Forwarded", text), (b"forwarded", text[::-1])).status == 200
    arrived = list(arrivals(seen))
    assert len(arrived) == 2 * len(QUOTING)
    assert {it.one("forwarded") for it in arrived} == {f'for={source};proto=https;host="c.test"'}


CHAINS: list[tuple[tuple[bytes, ...], list[str]]] = [
    ((b"1.2.3.4",), ["1.2.3.4"]),
    ((b"6.6.6.6, 1.2.3.4",), ["1.2.3.4"]),
    ((b"6.6.6.6,\t1.2.3.4",), ["1.2.3.4"]),
    ((b"6.6.6.6", b"1.2.3.4"), ["1.2.3.4"]),
    ((b"6.6.6.6", b"1.2.3.4, 127.0.0.9"), ["1.2.3.4", "127.0.0.9"]),
    ((b"127.0.0.9",), ["127.0.0.9"]),
    ((b"127.0.0.9, 127.0.0.9",), ["127.0.0.9", "127.0.0.9"]),
    ((b"1.2.3.4:4711",), ["1.2.3.4"]),
    ((b"[2001:db8::1]:4711",), ["2001:db8::1"]),
    ((b"[2001:db8::1]",), ["2001:db8::1"]),
    ((b"2001:DB8:0::1",), ["2001:db8::1"]),
    ((b"::ffff:1.2.3.4",), ["1.2.3.4"]),
    ((b"::ffff:127.0.0.9, ::ffff:7f00:9",), ["127.0.0.9", "127.0.0.9"]),
    # What cannot be read is not believed in part.
    ((b"",), []),
    ((b",",), []),
    ((b"1.2.3.4,",), []),
    ((b"1.2.3.4, unknown",), []),
    ((b"unknown, 1.2.3.4",), []),
    ((b"1.2.3.4", b"nonsense"), []),
    ((b"1.2.3.4 5.6.7.8",), []),
    ((b"1.2.3.4;5.6.7.8",), []),
    ((b"1.2.3",), []),
    ((b"01.2.3.4",), []),
    ((b"0x1.2.3.4",), []),
    ((b"16909060",), []),
    ((b"1.2.3.256",), []),
    ((b"1.2.3.4:99999",), []),
    ((b"1.2.3.4:",), []),
    ((b"[1.2.3.4]",), []),
    ((b"[::1",), []),
    ((b"fe80::1%eth0",), []),
    ((b'"1.2.3.4"',), []),
    ((b"1.2.3.4\xa0",), []),
]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_trusted_proxy_is_believed_up_to_the_first_stranger_and_a_stranger_never(
    ground: Ground, protocol: str
) -> None:
    """X01. One table, from both; what the log says is the peer either way."""
    for source in (STRANGER, TRUSTED):
        with (
            watched(ground, "plaintext") as seen,
            Talk(ground.edge.port, ground.pki, "a.test", protocol, source) as talk,
        ):
            for lines, _ in CHAINS:
                assert talk.ask(b"/attack", *((b"X-Forwarded-For", line) for line in lines)).status == 200
        for (lines, chain), it in zip(CHAINS, arrivals(seen), strict=True):
            hops = [*(chain if source == TRUSTED else []), source]
            assert it.one("x-forwarded-for") == ", ".join(hops), (source, lines)
            assert it.one("x-real-ip") == hops[0]
            nodes = [f'for="[{hop}]"' if ":" in hop else f"for={hop}" for hop in hops]
            assert it.one("forwarded") == ", ".join(nodes) + ';proto=https;host="a.test"'
    ground.clean()


def test_a_client_certificate_is_told_only_if_it_was_verified(ground: Ground) -> None:
    """X01. As RFC 9440 spells it; what the client wrote there itself is gone, and Connection cannot take ours away."""
    leaf = ground.pki.client
    der = x509.load_pem_x509_certificate(leaf.chain.read_bytes()).public_bytes(Encoding.DER)
    said = f":{base64.b64encode(der).decode()}:"
    lies = (
        b"Client-Cert: :QUJD:\r\nclient_cert: :QUJD:\r\nClient-Cert-Chain: :QUJD:\r\nX-Forwarded-Client-Cert: QUJD\r\n"
    )
    for more in (b"", lies, lies + b"Connection: Client-Cert, Client-Cert-Chain, close\r\n"):
        with watched(ground, "private") as seen, ground.connect("m.test", leaf=leaf) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: m.test\r\n" + more + b"\r\n")
            assert read_h1(sock).status == 200
        (it,) = arrivals(seen)
        assert it.one("client-cert") == said and "QUJD" not in str(it), it
    # A site that asks nobody says nothing, whatever certificate the client holds.
    with watched(ground, "plaintext") as seen, ground.connect("a.test", leaf=leaf) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\n" + lies + b"\r\n")
        assert read_h1(sock).status == 200
    (it,) = arrivals(seen)
    assert "cert" not in str(it).lower(), it


# X03.

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
FOUR = socket.inet_aton("203.0.113.7") + socket.inet_aton("127.0.0.1") + struct.pack(">HH", 4711, 443)
SIX = socket.inet_pton(socket.AF_INET6, "2001:db8::7") + bytes(15) + b"\x01" + struct.pack(">HH", 4711, 443)
MAPPED = bytes(10) + b"\xff\xff" + socket.inet_aton("203.0.113.7") + bytes(15) + b"\x01" + struct.pack(">HH", 4711, 443)
UNIX = bytes(216)


def v2(body: bytes = FOUR, family: int = 0x11, command: int = 0x21, length: int | None = None) -> bytes:
    return SIGNATURE + bytes([command, family]) + struct.pack(">H", len(body) if length is None else length) + body


def tlv(kind: int, value: bytes, length: int | None = None) -> bytes:
    return bytes([kind]) + struct.pack(">H", len(value) if length is None else length) + value


V1 = b"PROXY TCP4 203.0.113.7 127.0.0.1 4711 443\r\n"
BELIEVED: list[tuple[str, bytes, str | None]] = [
    ("v1 IPv4", V1, "203.0.113.7"),
    ("v1 IPv6", b"PROXY TCP6 2001:db8::7 ::1 4711 443\r\n", "2001:db8::7"),
    ("v1 mapped", b"PROXY TCP6 ::ffff:203.0.113.7 ::1 4711 443\r\n", "203.0.113.7"),
    ("v1 port 0", b"PROXY TCP4 203.0.113.7 127.0.0.1 0 443\r\n", "203.0.113.7"),
    ("v1 unknown", b"PROXY UNKNOWN\r\n", None),
    ("v1 unknown with more", b"PROXY UNKNOWN 6.6.6.6 127.0.0.1 1 2\r\n", None),
    ("v2 IPv4", v2(), "203.0.113.7"),
    ("v2 IPv6", v2(SIX, 0x21), "2001:db8::7"),
    ("v2 mapped", v2(MAPPED, 0x21), "203.0.113.7"),
    ("v2 with TLVs", v2(FOUR + tlv(4, b"x" * 9) + tlv(2, b"pass.test") + tlv(0xE0, b"")), "203.0.113.7"),
    ("v2 with a long TLV", v2(FOUR + tlv(4, b"\x16\x03\x01" * 1000)), "203.0.113.7"),
    ("v2 LOCAL", v2(command=0x20), None),
    ("v2 LOCAL without addresses", v2(b"", 0, 0x20), None),
    ("v2 LOCAL with junk", v2(b"\x16\x03\x01\x00\x05", 0, 0x20), None),
    ("v2 UNSPEC", v2(b"", 0), None),
    # What speaks of nobody whom we could name is as good as UNSPEC (proxy-protocol.txt §2.2).
    ("v2 UDP over IPv4", v2(FOUR, 0x12), None),
    ("v2 UDP over IPv6", v2(SIX, 0x22), None),
    ("v2 Unix", v2(UNIX, 0x31), None),
    ("v2 Unix datagram", v2(UNIX + tlv(4, b"x"), 0x32), None),
]
REFUSED: list[tuple[str, bytes]] = [
    ("nothing", b""),
    ("v1 small", V1.lower()),
    ("v1 two spaces", V1.replace(b" TCP4", b"  TCP4")),
    ("v1 tab", V1.replace(b" TCP4", b"\tTCP4")),
    ("v1 space before", b" " + V1),
    ("v1 space behind", V1.replace(b"\r", b" \r")),
    ("v1 bare LF", V1.replace(b"\r", b"")),
    ("v1 bare CR", V1.replace(b"\n", b"") + b"x" * 90),
    ("v1 NUL", V1.replace(b"203", b"203\0")),
    ("v1 TCP5", V1.replace(b"TCP4", b"TCP5")),
    ("v1 UDP4", V1.replace(b"TCP4", b"UDP4")),
    ("v1 small family", V1.replace(b"TCP4", b"tcp4")),
    ("v1 other family", V1.replace(b"TCP4", b"TCP6")),
    ("v1 other destination", V1.replace(b"127.0.0.1", b"::1")),
    ("v1 leading zero", V1.replace(b"203.0", b"203.00")),
    ("v1 octal", V1.replace(b"203", b"0313")),
    ("v1 hex", V1.replace(b"203", b"0xcb")),
    ("v1 short address", V1.replace(b"203.0.113.7", b"203.7")),
    ("v1 name", V1.replace(b"203.0.113.7", b"localhost")),
    ("v1 brackets", b"PROXY TCP6 [2001:db8::7] ::1 4711 443\r\n"),
    ("v1 zone", b"PROXY TCP6 fe80::7%eth0 ::1 4711 443\r\n"),
    ("v1 port zero padded", V1.replace(b"4711", b"04711")),
    ("v1 port plus", V1.replace(b"4711", b"+4711")),
    ("v1 port minus", V1.replace(b"4711", b"-1")),
    ("v1 port too large", V1.replace(b"4711", b"65536")),
    ("v1 port empty", V1.replace(b"4711", b"")),
    ("v1 field missing", V1.replace(b" 443", b"")),
    ("v1 field more", V1.replace(b" 443", b" 443 1")),
    ("v1 nothing said", b"PROXY\r\n"),
    ("v1 no family", b"PROXY \r\n"),
    ("v1 unknown glued", b"PROXY UNKNOWNX\r\n"),
    ("v1 108 bytes", b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n"),
    ("v1 without end", b"PROXY UNKNOWN " + b"x" * 200),
    ("v2 version 1", v2(command=0x11)),
    ("v2 version 3", v2(command=0x31)),
    ("v2 version 0", v2(command=0x01)),
    *((f"v2 command {n}", v2(command=0x20 | n)) for n in range(2, 16)),
    *(
        (f"v2 family {n:#x}", v2(FOUR * 20, n))
        for n in (0x01, 0x02, 0x10, 0x13, 0x20, 0x23, 0x30, 0x33, 0x41, 0x91, 0xFF)
    ),
    ("v2 Unix in 215 bytes", v2(UNIX[:215], 0x31)),
    ("v2 UDP over IPv4 in 11 bytes", v2(FOUR[:11], 0x12)),
    ("v2 UDP over IPv6 in 35 bytes", v2(SIX[:35], 0x22)),
    *((f"v2 IPv4 in {n} bytes", v2(FOUR[:n])) for n in range(12)),
    *((f"v2 IPv6 in {n} bytes", v2(SIX[:n], 0x21)) for n in (0, 12, 16, 32, 35)),
    ("v2 IPv4 as IPv6", v2(FOUR, 0x21)),
    ("v2 TLV too long by one", v2(FOUR + tlv(4, b"abc", 4))),
    ("v2 TLV of 64 KiB", v2(FOUR + tlv(4, b"abc", 0xFFFF))),
    ("v2 TLV cut in its type", v2(FOUR + b"\x04")),
    ("v2 TLV cut in its length", v2(FOUR + b"\x04\x00")),
    ("v2 second TLV lies", v2(FOUR + tlv(4, b"abc") + tlv(4, b"", 1))),
    ("v2 header of 64 KiB", v2(length=0xFFFF)),
    ("v2 header of 4,097 bytes", v2(FOUR + tlv(4, b"x" * (4097 - 15)))),
    ("v2 other signature", v2().replace(b"QUIT", b"QUIP")),
    ("v2 length that takes the hello", v2(length=12 + 64)),
]
HELLO = named(b"pass.test")


def takes(sock: socket.socket, record: bytearray) -> None:
    while take(sock, record, 65536):
        pass


class Listening:
    """An edge that wants a PROXY header of 127.0.0.9 alone, and a recorder behind its passthrough route."""

    def __init__(self, edge: Edges, raw: Raws, handshake_s: int = 15) -> None:
        self.passed, self.ended = raw(takes), raw(serving)
        text = (
            f'[[route]]\nname = "pass"\nhost = "pass.test"\ntls = "passthrough"\nto = ["127.0.0.1:{self.passed.port}"]\n'
            f'[[route]]\nname = "ended"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{self.ended.port}"]\n'
        )
        listener = 'accept_proxy = ["127.0.0.9/32"]\ntrusted_proxies = ["203.0.113.0/24"]'
        self.edge = edge(text, listener=listener, more=f"[limits]\nhandshake_s = {handshake_s}\n")

    @contextlib.contextmanager
    def sending(self, source: str, *pieces: bytes) -> Iterator[socket.socket]:
        with socket.create_connection(("127.0.0.1", self.edge.port), 20, source_address=(source, 0)) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.suppress(ConnectionError):
                for piece in pieces:
                    sock.sendall(piece)
            yield sock

    def cut_off(self, source: str, *pieces: bytes, end: bool = False) -> tuple[bytes, str]:
        """What came back until the edge closed, and who we were; nothing reached anyone."""
        before = len(self.passed.records), len(self.ended.records)
        with self.sending(source, *pieces) as sock:
            if end:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_WR)
            got = b""
            with contextlib.suppress(ConnectionError):
                while data := sock.recv(4096):
                    got += data
            name = name_of(sock)
        settle(self.edge, self.passed, self.ended)
        assert (len(self.passed.records), len(self.ended.records)) == before
        return got, name

    def refused(self, source: str, *pieces: bytes, end: bool = False) -> tuple[bytes, str]:
        """What came back, and the slug."""
        before = len(self.edge.lines())
        got, name = self.cut_off(source, *pieces, end=end)
        return got, str(self.line(before, name)["end"])

    def line(self, before: int, name: str) -> dict[str, Any]:
        """Of the connection of that name: a port may be taken again, and be another one's in an earlier line."""
        return until(lambda: next((x for x in self.edge.lines()[before:] if x["peer"] == name), None))

    def passes(self, source: str, *pieces: bytes) -> str:
        """Who we were; what reached the backend is the hello, to the byte."""
        count = len(self.passed.records)
        with self.sending(source, *pieces) as sock:
            until(lambda: len(self.passed.records) > count and len(self.passed.records[count]) >= len(HELLO))
            assert bytes(self.passed.records[count]) == HELLO
            return name_of(sock)

    def served(self, source: str, *pieces: bytes) -> str:
        """Whom the log names as the client."""
        before = len(self.edge.lines())
        name = self.passes(source, *pieces)
        return str(self.line(before, name)["client"])


def name_of(sock: socket.socket) -> str:
    host, port = sock.getsockname()
    return f"{host}:{port}"


@pytest.fixture
def listening(edge: Edges, raw: Raws) -> Listening:
    return Listening(edge, raw)


def test_a_proxy_header_is_believed_where_it_is_wanted_and_not_a_byte_of_it_goes_on(listening: Listening) -> None:
    """X03. Both versions; LOCAL, UNSPEC and UNKNOWN speak of the peer itself."""
    for what, header, client in BELIEVED:
        assert listening.served(TRUSTED, header + HELLO) == (client or TRUSTED), what


@pytest.mark.parametrize("header", [V1, v2(), v2(SIX + tlv(4, b"\x16\x03"), 0x21)], ids=["v1", "v2", "v2-tlv"])
def test_a_proxy_header_cut_at_every_byte_is_the_same_header(listening: Listening, header: bytes) -> None:
    """X03. In two pieces it is served, a byte at a time as well; one that ends early reaches nobody."""
    whole = header + HELLO
    expected = listening.served(TRUSTED, whole)
    for cut in range(1, len(header) + 2):
        name = listening.passes(TRUSTED, whole[:cut], whole[cut:])
    assert listening.edge.line(lambda x: x["peer"] == name)["client"] == expected
    assert listening.served(TRUSTED, *(whole[i : i + 1] for i in range(len(whole)))) == expected
    assert {line["client"] for line in listening.edge.lines()} == {expected}
    for cut in range(len(header)):
        assert listening.cut_off(TRUSTED, header[:cut], end=True)[0] == b"", cut
    # Who leaves without a byte is a probe, and was refused nothing.
    expected_counts = {"proxy/malformed": len(header) - 1}
    until(lambda: listening.edge.status()["refused"] == expected_counts or None)


def test_a_proxy_header_that_is_not_exact_ends_the_connection(listening: Listening) -> None:
    """X03. Spellings of v1, lying lengths, families and commands that nobody has; then the next one is served."""
    assert listening.served(TRUSTED, V1 + HELLO) == "203.0.113.7"
    for what, header in REFUSED:
        got, slug = listening.refused(TRUSTED, header + HELLO, end=True)
        assert (got, slug) == (b"", "proxy/malformed"), what
    got, slug = listening.refused(TRUSTED, V1 + V1 + HELLO)
    assert slug == "proxy/unexpected", "only one is taken off"
    got, slug = listening.refused(TRUSTED, v2() + V1 + HELLO)
    assert slug == "proxy/unexpected"
    assert listening.served(TRUSTED, V1 + HELLO) == "203.0.113.7"


def test_a_proxy_header_from_anyone_else_is_refused_as_one(listening: Listening) -> None:
    """X03. Who must not send one cannot name somebody else, and nothing is skipped to find a hello behind it."""
    assert listening.served(STRANGER, HELLO) == STRANGER
    for what, header, _ in BELIEVED:
        got, slug = listening.refused(STRANGER, header + HELLO)
        assert slug == "proxy/unexpected" and b"203.0.113.7" not in got, (what, got, slug)
    assert listening.served(STRANGER, HELLO) == STRANGER


def test_a_proxy_header_that_never_ends_is_closed_at_the_deadline(edge: Edges, raw: Raws) -> None:
    """X03. Nothing is taken for the rest."""
    listening = Listening(edge, raw, handshake_s=2)
    with contextlib.ExitStack() as stack:
        headers = (b"", b"PROXY TCP4 203.0.113.7", SIGNATURE, v2(length=2000))
        socks = [stack.enter_context(listening.sending(TRUSTED, header)) for header in headers]
        assert [sock.recv(1) for sock in socks] == [b""] * 4
        names = [name_of(sock) for sock in socks]
    ends = until(lambda: e if len(e := {x["peer"]: x["end"] for x in listening.edge.lines()}) == 4 else None)
    assert [ends[name] for name in names] == ["hello/too-slow"] * 4
    settle(listening.edge, listening.passed)
    assert not listening.passed.records
    assert listening.served(TRUSTED, V1 + HELLO) == "203.0.113.7"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_proxy_header_inside_tls_is_no_request(listening: Listening, pki: Pki, protocol: str) -> None:
    """X03. From who must send one outside, and from who must not."""
    for source, outside in ((TRUSTED, V1), (STRANGER, b"")):
        for inside in (V1, v2(), b"PROXY UNKNOWN\r\n"):
            before = listening.ended.received
            with dial(listening.edge.port, pki, "a.test", alpn=[protocol], source=source, first=outside) as sock:
                sock.sendall(inside + b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
                got = b""
                with contextlib.suppress(ConnectionError, ssl.SSLError):
                    while data := sock.recv(4096):
                        got += data
            assert protocol == "h2" or got.startswith(b"HTTP/1.1 400 "), got
            settle(listening.edge, listening.ended)
            assert b"HTTP/1.1 200" not in got and listening.ended.received == before
        with dial(listening.edge.port, pki, "a.test", alpn=["http/1.1"], source=source, first=outside) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
            assert read_h1(sock).status == 200


def test_whose_forwarded_fields_are_believed_is_judged_by_whom_the_proxy_names(listening: Listening, pki: Pki) -> None:
    """X01, X03. The address that the header gave, not the peer's, is looked up among the trusted."""
    for named_, expected in (("203.0.113.7", "1.2.3.4, 203.0.113.7"), ("198.51.100.7", "198.51.100.7")):
        header = f"PROXY TCP4 {named_} 127.0.0.1 4711 443\r\n".encode()
        with (
            watching(listening.edge, listening.ended) as seen,
            dial(listening.edge.port, pki, "a.test", source=TRUSTED, first=header) as sock,
        ):
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 6.6.6.6, 1.2.3.4\r\n\r\n")
            assert read_h1(sock).status == 200
        (it,) = arrivals(seen)
        assert it.one("x-forwarded-for") == expected and it.one("x-real-ip") == expected.split(",")[0]

"""Whatever of a request arrives at its backend was shown to the inspector first: its target, its fields, its body and what stands behind
that, by both protocols, in whatever form it came. Requests are made up; a program in the inspector's place allows each and keeps
what it was shown."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kit import EdgeKit, Pki, Raw, tls
from tests.kit.clients import read_answer
from tests.kit.raw import OK, Record, whole
from tests.kit.shown import Keeper, Shown
from tests.wire.test_http2 import Speaker

SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: tcp\r\n\r\n"
OURS = {b"forwarded", b"x-real-ip", b"via", b"x-request-id", b"traceparent", b"tracestate"}
"""Fields that the edge writes itself; those of X-Forwarded too."""
FRAMES = {b"host", b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"te", b"trailer", b"expect"}
"""Of one connection, or told by the frame in a place of their own."""


@dataclass(frozen=True)
class Arrived:
    """One request, as its backend had it."""

    method: bytes
    target: bytes
    host: bytes
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def value(self, name: bytes) -> bytes | None:
        return dict(self.fields).get(name)


def script(sock: socket.socket, record: Record) -> None:
    while (got := whole(sock, record)) is not None:
        if b"\r\nupgrade: tcp" in got.lower():
            sock.sendall(SWITCH)
            return
        sock.sendall(OK)


def read(data: bytes) -> list[Arrived]:
    """All that one connection brought, without what a tunnel does."""
    out = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        method, target, _ = first.split(b" ")
        fields = [split(line) for line in lines]
        known = dict(fields)
        if known.get(b"transfer-encoding") == b"chunked":
            body = b""
            while size := int((line := data.partition(b"\r\n"))[0], 16):
                body, data = body + line[2][:size], line[2][size + 2 :]
            data = data.partition(b"\r\n")[2]
            while (line := data.partition(b"\r\n"))[0]:
                fields.append(split(line[0]))
                data = line[2]
            data = line[2]
        else:
            size = int(known.get(b"content-length", b"0"))
            body, data = data[:size], data[size:]
        out.append(Arrived(method, target, known[b"host"], tuple(fields), body))
    return out


def split(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name.lower(), value.strip()


def unseen(it: Arrived, seen: Shown) -> list[str]:
    """What arrived and was not shown."""
    out = [
        f"{what}: {a!r} of {b!r}"
        for what, a, b in (
            ("method", it.method, seen.method),
            ("target", it.target, seen.target),
            ("host", it.host, (b"".join(seen.values(b"host")) or seen.host).lower()),
            ("body", it.body, seen.body),
        )
        if a != b
    ]
    if not seen.whole:
        out.append("it is told as a beginning")
    for name, value in it.fields:
        if name in OURS or name in FRAMES or name.startswith(b"x-forwarded-"):
            continue
        # Pieces of a cookie may come by themselves.
        if value not in seen.values(name) and value != b"; ".join(seen.values(name)):
            out.append(f"field {name!r}: {value!r} of {seen.values(name)}")
    return out


class Ground:
    def __init__(self, edge: Callable[..., EdgeKit], raw: Callable[..., Raw], pki: Pki) -> None:
        self.pki, self.raw = pki, raw(script)
        self.edge = edge(
            '[[waf]]\nname = "crs"\ndeadline_ms = 10000\n'
            f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{self.raw.port}"]\n'
            'waf = "crs"\nupgrades = ["tcp"]\n'
        )

    def judge(self, keeper: Keeper, count: int) -> None:
        shown = {it.values(b"x-n")[0]: it for it in keeper.shown()}
        arrived = [it for record in self.raw.records for it in read(bytes(record))]
        assert len(arrived) == count
        for it in arrived:
            number = it.value(b"x-n")
            assert number is not None
            assert unseen(it, shown[number]) == [], it


@pytest.fixture
def keeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keeper:
    it = Keeper(tmp_path)
    monkeypatch.setenv("EVERYHOP_WAF", str(it.program))
    return it


@pytest.fixture
def ground(keeper: Keeper, edge: Callable[..., EdgeKit], raw: Callable[..., Raw], pki: Pki) -> Ground:
    return Ground(edge, raw, pki)


TARGETS = ("/", "/a//b/", "/a?b=c&d=%3Cscript%3E", "/%41%2Fb;c=d?e", "/?q=" + "x" * 3000, "/caf%C3%A9?=&&=")
TEXTS = ("plain", "a b\tc", "=;,\"'\\", "x" * 2000, "%00%zz", "{}[]<>")


def fields(of: random.Random) -> list[tuple[str, str]]:
    made = [(f"X-{of.choice('abcd')}", of.choice(TEXTS)) for _ in range(of.randrange(5))]
    made += [("Cookie", f"c{n}={of.choice(TEXTS[:1] + TEXTS[3:5])}") for n in range(of.randrange(3))]
    return made


def body(of: random.Random) -> bytes:
    return of.randbytes(of.choice((0, 1, 7, 200, 17_000, 70_000)))


def chunked(of: random.Random, whole_: bytes) -> bytes:
    """In pieces of any length, with extensions and with what stands behind."""
    out = b""
    while whole_:
        size = of.choice((1, 3, 1000, 20_000)) if len(whole_) < 50 else of.choice((100, 9_000, 70_000))
        piece, whole_ = whole_[:size], whole_[size:]
        out += b"%x%s\r\n%s\r\n" % (len(piece), of.choice((b"", b";a=b", b';c="d e"')), piece)
    behind = b"".join(b"X-Behind-%d: %s\r\n" % (n, of.choice(TEXTS).encode()) for n in range(of.randrange(3)))
    return out + b"0\r\n" + behind + b"\r\n"


def http1(of: random.Random, number: int) -> tuple[bytes, bytes, bool]:
    """A request's head, what follows it, and whether it asks for a tunnel."""
    kind, switches = of.choice(("none", "known", "chunks")), of.random() < 0.2
    method = of.choice(("GET", "POST", "PUT", "ODD")) if kind != "none" else of.choice(("GET", "HEAD", "DELETE"))
    lines = [f"Host: {of.choice(('a.test', 'A.test', 'a.test:443'))}", f"X-N: {number}"]
    lines += [f"{name}: {value}" for name, value in fields(of)]
    lines += ["Connection: upgrade", "Upgrade: tcp"] * switches
    follows = b""
    if kind == "known":
        follows = body(of)
        lines.append(f"Content-Length: {len(follows)}")
    elif kind == "chunks":
        follows = chunked(of, body(of))
        lines.append("Transfer-Encoding: chunked")
    lines += ["Expect: 100-continue"] * (kind != "none" and of.random() < 0.2)
    of.shuffle(lines)
    head = "\r\n".join([f"{method} {of.choice(TARGETS)} HTTP/1.1", *lines, "", ""])
    return head.encode(), follows, switches


def test_of_http1_nothing_arrives_that_the_inspector_was_not_shown(ground: Ground, keeper: Keeper, pki: Pki) -> None:
    of, count = random.Random(11), 400
    for number in range(count):
        head, follows, switches = http1(of, number)
        with tls(ground.edge.port, "a.test", pki.public.file) as sock:
            sock.sendall(head)
            for at in range(0, len(follows), 30_000):
                sock.sendall(follows[at : at + 30_000])
            answer = read_answer(sock, head.partition(b" ")[0].decode())
            assert answer.status == (101 if switches else 200), (head, answer)
    ground.judge(keeper, count)


def test_of_http2_nothing_arrives_that_the_inspector_was_not_shown(ground: Ground, keeper: Keeper, pki: Pki) -> None:
    of, count = random.Random(12), 250
    with Speaker(ground.edge, pki) as client:
        for number in range(count):
            of_it = [(name.lower(), value) for name, value in fields(of)]
            sent, behind = body(of)[:60_000], [(f"x-behind-{n}", of.choice(TEXTS)) for n in range(of.randrange(3))]
            tells = [("content-length", str(len(sent)))] * (of.random() < 0.5)
            method = of.choice(("GET", "POST", "PUT", "ODD"))
            more = [("x-n", str(number)), *of_it, *tells]
            stream = client.headers(*more, method=method, path=of.choice(TARGETS), end=not sent and not behind)
            while sent:
                size = min(len(sent), of.choice((1, 5_000, 16_000)), client.h2.local_flow_control_window(stream))
                piece, sent = sent[:size], sent[size:]
                client.h2.send_data(stream, piece, end_stream=not sent and not behind)
                client.flush()
                if sent and not client.h2.local_flow_control_window(stream):
                    next(client.events())
            if behind:
                client.h2.send_headers(stream, behind, end_stream=True)
                client.flush()
            assert client.outcome(stream) == "200", number
    ground.judge(keeper, count)

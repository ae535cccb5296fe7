"""Upstream faults: a backend that breaks off, frames badly, stands still or flaps. What was not answered in full is never
shown as complete, what may have been done is never sent twice, and what is wrong with one backend ends there."""

from __future__ import annotations

import contextlib
import functools
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.kit import EdgeKit, Pki, Raw
from tests.kit.clients import opened
from tests.kit.edge import until
from tests.kit.grpc_peer import channel
from tests.kit.raw import OK, head, take
from tests.threats.faults import (
    HEAD,
    Act,
    ActH2,
    Faulty,
    FaultyH2,
    cut,
    h2_data,
    h2_goaway,
    h2_head,
    h2_reset,
    reset,
    says,
    status,
    well,
)
from tests.threats.frames import literal
from tests.threats.talk import PROTOCOLS, Talk, Told

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

VERIFY = 'verify = { ca = "{pki}/internal-ca.pem", name = "backend.internal" }\n'
BEHIND = {"plaintext": ("a.test", ""), "mutual": ("c.test", VERIFY + 'present = "edge"\n')}


def route(name: str, host: str, tls_: str, *ports: int, more: str = "") -> str:
    to = ", ".join(f'"127.0.0.1:{port}"' for port in ports)
    return f'[[route]]\nname = "{name}"\nhost = "{host}"\ntls = "{tls_}"\nto = [{to}]\n{more}\n'


# U02, and U01 before the head: name -> what the backend does.

CHUNKED = b"Transfer-Encoding: chunked\r\n"
ANSWERS: dict[str, bytes] = {
    "cl-te": HEAD + b"Content-Length: 1\r\n" + CHUNKED + b"\r\n0\r\n\r\n",
    "te-cl": HEAD + CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n",
    "two-cl": HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
    "two-equal-cl": HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "cl-list": HEAD + b"Content-Length: 2, 2\r\n\r\nok",
    "cl-plus": HEAD + b"Content-Length: +2\r\n\r\nok",
    "cl-minus": HEAD + b"Content-Length: -2\r\n\r\nok",
    "cl-hex": HEAD + b"Content-Length: 0x2\r\n\r\nok",
    "cl-empty": HEAD + b"Content-Length: \r\n\r\nok",
    "cl-huge": HEAD + b"Content-Length: 18446744073709551618\r\n\r\nok",
    "te-gzip": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "te-twice": HEAD + CHUNKED + CHUNKED + b"\r\n0\r\n\r\n",
    "te-identity": HEAD + b"Transfer-Encoding: identity\r\n\r\nok",
    "te-in-1.0": HEAD.replace(b"1.1", b"1.0") + CHUNKED + b"\r\n0\r\n\r\n",
    "te-space": HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "obs-fold": HEAD + b"X: y\r\n z\r\nContent-Length: 2\r\n\r\nok",
    "fold-first": HEAD + b" X: y\r\nContent-Length: 2\r\n\r\nok",
    "nul-value": HEAD + b"X: y\0z\r\nContent-Length: 2\r\n\r\nok",
    "nul-name": HEAD + b"X\0: y\r\nContent-Length: 2\r\n\r\nok",
    "cr-value": HEAD + b"X: y\rz\r\nContent-Length: 2\r\n\r\nok",
    "no-colon": HEAD + b"X\r\nContent-Length: 2\r\n\r\nok",
    "no-name": HEAD + b": y\r\nContent-Length: 2\r\n\r\nok",
    "high-name": HEAD + b"X\xe4: y\r\nContent-Length: 2\r\n\r\nok",
    "bare-lf": HEAD.replace(b"\r", b"") + b"Content-Length: 2\n\nok",
    "one-bare-lf": HEAD + b"X: y\nContent-Length: 2\r\n\r\nok",
    "lf-at-end": HEAD + b"Content-Length: 2\r\n\nok",
    "megabyte-head": HEAD + b"X: " + b"y" * (1 << 20) + b"\r\n\r\n",
    "many-fields": HEAD + b"X: y\r\n" * 1000 + b"\r\n",
    "status-99": b"HTTP/1.1 99 x\r\n\r\n",
    "status-099": b"HTTP/1.1 099 x\r\nContent-Length: 0\r\n\r\n",
    "status-600": b"HTTP/1.1 600 x\r\nContent-Length: 0\r\n\r\n",
    "status-2000": b"HTTP/1.1 2000 x\r\nContent-Length: 0\r\n\r\n",
    "status-20x": b"HTTP/1.1 20x OK\r\nContent-Length: 0\r\n\r\n",
    "status-none": b"HTTP/1.1 \r\nContent-Length: 0\r\n\r\n",
    "status-nul": b"HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n",
    "version-1.2": b"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n",
    "version-2": b"HTTP/2 200\r\nContent-Length: 0\r\n\r\n",
    "small-http": b"http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "space-first": b" HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "crlf-first": b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "http-0.9": b"<html>hello</html>\r\n",
    "h2-preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "h2-settings": b"\0\0\0\x04\0\0\0\0\0\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "other-upgrade": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\n",
    "early-hints-with-body": b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\nhello" + OK,
}
BEFORE: dict[str, tuple[Act, set[str]]] = {
    **{name: (says(data), {"hop/bad-response"}) for name, data in ANSWERS.items()},
    "flood-of-1xx": (says(b"HTTP/1.1 100 Continue\r\n\r\n" * 17), {"hop/too-many-informational"}),
    "rst-at-once": (reset, {"hop/closed"}),
    "fin-at-once": (cut, {"hop/closed"}),
    "rst-in-head": (says(HEAD + b"Conte", reset), {"hop/truncated", "hop/closed"}),
    "fin-in-head": (says(HEAD + b"Conte", cut), {"hop/truncated"}),
    "fin-in-first-line": (says(b"HTTP/1.1 2", well), {"hop/truncated"}),
    "fin-after-1xx": (says(b"HTTP/1.1 103 Early Hints\r\n\r\n", well), {"hop/truncated", "hop/closed"}),
}

# U01 after the head.

CHUNKS = HEAD + CHUNKED + b"\r\n"
AFTER: dict[str, Act] = {
    "length-short-fin": says(HEAD + b"Content-Length: 100\r\n\r\nshort", well),
    "length-short-rst": says(HEAD + b"Content-Length: 100\r\n\r\nshort", reset),
    "length-nothing": says(HEAD + b"Content-Length: 100\r\n\r\n", well),
    "length-one-missing": says(HEAD + b"Content-Length: 6\r\n\r\nshort", well),
    "old-length-short": says(HEAD.replace(b"1.1", b"1.0") + b"Content-Length: 100\r\n\r\nshort", well),
    "chunk-cut-in-size": says(CHUNKS + b"5\r\nshort\r\n1", well),
    "chunk-cut-in-data": says(CHUNKS + b"64\r\nshort", well),
    "chunk-cut-rst": says(CHUNKS + b"64\r\nshort", reset),
    "chunk-cut-after-data": says(CHUNKS + b"5\r\nshort", well),
    "chunk-cut-before-last": says(CHUNKS + b"5\r\nshort\r\n", well),
    "chunk-cut-in-last": says(CHUNKS + b"5\r\nshort\r\n0\r\n", well),
    "chunk-cut-in-trailers": says(CHUNKS + b"5\r\nshort\r\n0\r\nX: y\r\n", well),
    "chunk-none": says(CHUNKS, well),
    "chunk-malformed": says(CHUNKS + b"5\r\nshort\r\nzz\r\n"),
    "chunk-bare-lf": says(CHUNKS + b"5\r\nshort\n0\r\n\r\n"),
    "chunk-lf-size": says(CHUNKS + b"5\nshort\r\n0\r\n\r\n"),
    "chunk-long": says(CHUNKS + b"5\r\nshortX\r\n0\r\n\r\n"),
    "chunk-0x": says(CHUNKS + b"0x5\r\nshort\r\n0\r\n\r\n"),
    "chunk-17-digits": says(CHUNKS + b"10000000000000005\r\nshort\r\n0\r\n\r\n"),
    "chunk-bad-trailer": says(CHUNKS + b"5\r\nshort\r\n0\r\nbad\r\n\r\n"),
    "until-close-rst": says(HEAD + b"\r\nshort", reset),
}
WHOLE: dict[str, tuple[Act, bytes]] = {
    "length": (says(HEAD + b"Content-Length: 5\r\n\r\nhello"), b"hello"),
    "chunks": (says(CHUNKS + b"5;x=y\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"), b"hello"),
    "until-close": (says(HEAD + b"\r\nhello", well), b"hello"),
    "old-until-close": (says(HEAD.replace(b"1.1", b"1.0") + b"\r\nhello", well), b"hello"),
    "surplus": (says(HEAD + b"Content-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n\r\n"), b"hello"),
    "surplus-after-chunks": (says(CHUNKS + b"5\r\nhello\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), b"hello"),
    "not-modified": (says(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"), b""),
    "no-content": (says(b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"), b""),
    "half-closed": (says(OK, lambda sock: sock.shutdown(socket.SHUT_WR)), b"ok"),
}
ONLY_PLAINTEXT = {"half-closed"}
ACTS: dict[str, Act] = {
    **{name: act for name, (act, _) in BEFORE.items()},
    **AFTER,
    "until-close-fin": says(HEAD + b"\r\nshort", cut),
    **{name: act for name, (act, _) in WHOLE.items()},
}


@dataclass
class Behind:
    """An edge with a faulty backend in the clear and one that demands our certificate."""

    edge: EdgeKit
    pki: Pki
    faulty: dict[str, Faulty]

    def talk(self, pattern: str, protocol: str) -> Talk:
        return Talk(self.edge.port, self.pki, BEHIND[pattern][0], protocol)


@pytest.fixture(scope="module")
def behind(pki: Pki) -> Iterator[Behind]:
    faulty = {pattern: Faulty(ACTS) for pattern in BEHIND}
    upstreams = {
        "plaintext": Raw(faulty["plaintext"].script),
        "mutual": Raw(faulty["mutual"].script, pki.backend, clients=pki.internal.file),
    }
    text = "".join(route(p, h, p, upstreams[p].port, more=m) for p, (h, m) in BEHIND.items())
    it = Behind(EdgeKit(pki, text), pki, faulty)
    yield it
    it.edge.close()
    for upstream in upstreams.values():
        upstream.close()


def clean(talk: Talk) -> None:
    told = talk.ask(b"/clean")
    assert (told.status, told.body, told.whole) == (200, b"ok", True)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("pattern", BEHIND)
def test_an_answer_that_cannot_be_read_is_a_bad_gateway_and_was_asked_for_once(
    behind: Behind, pattern: str, protocol: str
) -> None:
    """U01, U02. Nothing of it reaches the client, a POST is never sent twice, and the connection to the backend is not
    used again; the client's own goes on."""
    faulty = behind.faulty[pattern]
    with behind.talk(pattern, protocol) as talk:
        clean(talk)
        for name, (_, slugs) in BEFORE.items():
            for method in (b"POST", b"GET"):
                path = f"/{name}?{method.decode()}-{protocol}"
                told = talk.ask(path.encode(), method=method, body=b"hello" if method == b"POST" else None)
                assert told.status == 502 and told.whole, (name, method, told)
                assert any(slug in told.body.decode() for slug in slugs), (name, told)
                # A GET goes again only where a kept connection died without a byte of an answer.
                most = 2 if method == b"GET" and slugs == {"hop/closed"} else 1
                assert 1 <= faulty.count(path) <= most, (name, method)
                clean(talk)
        assert talk.opened == 1, "the client's connection is none the worse"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("pattern", BEHIND)
def test_a_short_body_is_never_shown_as_a_complete_one(behind: Behind, pattern: str, protocol: str) -> None:
    """U01. HTTP/1 ends without the last chunk or short of its length, HTTP/2 with a reset; nothing is asked for again."""
    faulty = behind.faulty[pattern]
    acts = [*AFTER, *(["until-close-fin"] if pattern == "mutual" else [])]
    for name in acts:
        for method in (b"POST", b"GET"):
            path = f"/{name}?{method.decode()}-{protocol}"
            with behind.talk(pattern, protocol) as talk:
                clean(talk)
                told = talk.ask(path.encode(), method=method, body=b"hello" if method == b"POST" else None)
                if name.endswith("rst") and told.status == 502:
                    # The reset overtook the bytes before it: then nothing was answered.
                    assert told.whole and faulty.count(path) <= (2 if method == b"GET" else 1), (name, told)
                else:
                    assert not told.whole and told.status in {0, 200}, (name, method, told)
                    assert b"short".startswith(told.body[:5]) and len(told.body) <= 6, (name, told)
                    assert faulty.count(path) == 1, (name, method)
                clean(talk)
    paths = {f"/{name}" for name in acts}

    def ends() -> set[str]:
        return {x["end"] for x in behind.edge.lines() if x["path"] in paths} - {"hop/closed"}

    until(lambda: ends() >= {"hop/truncated", "hop/bad-response"})
    assert ends() == {"hop/truncated", "hop/bad-response"}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("pattern", BEHIND)
def test_every_way_to_end_a_body_is_relayed_whole(behind: Behind, pattern: str, protocol: str) -> None:
    """U03. Also one that ends with the connection; what comes behind an answer belongs to nobody."""
    with behind.talk(pattern, protocol) as talk:
        for name, (_, body) in WHOLE.items():
            if pattern == "mutual" and name in ONLY_PLAINTEXT:
                continue
            told = talk.ask(f"/{name}".encode())
            assert told.status in {200, 204, 304} and (told.body, told.whole) == (body, True), (name, told)
            clean(talk)
        assert talk.opened == 1


@pytest.mark.parametrize("pattern", BEHIND)
def test_a_client_that_knows_no_chunks_sees_a_cut_body_as_cut(behind: Behind, pattern: str) -> None:
    """U01. HTTP/1.0 is told the end by the connection's: a broken one must not end as a good one does."""
    host = BEHIND[pattern][0]

    def ask(name: str) -> bytes:
        context = ssl.create_default_context(cafile=str(behind.pki.public.file))
        raw = opened(socket.create_connection(("127.0.0.1", behind.edge.port), 20))
        with context.wrap_socket(raw, server_hostname=host, suppress_ragged_eofs=False) as sock:
            sock.sendall(f"GET /{name} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
            got = b""
            while data := sock.recv(4096):
                got += data
            return got

    for name in ("until-close", "chunks"):
        assert ask(name).endswith(b"\r\n\r\nhello")
    for name in ("until-close-rst", "chunk-cut-before-last", "chunk-cut-rst", "length-short-fin", "chunk-malformed"):
        try:
            got = ask(name)
        except (ConnectionResetError, ssl.SSLEOFError):
            continue
        assert name.endswith("rst") and got.startswith(b"HTTP/1.1 502 "), (name, got)


def test_what_1xx_and_bodiless_answers_say_of_a_length_is_not_told(behind: Behind, edge: Edges, raw: Raws) -> None:
    """U02. RFC 9110 §8.6: a client that believed it would take the next answer for a body."""
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nContent-Length: 44\r\n\r\n"
    faulty = Faulty({"early": says(early + OK)})
    it = edge(route("r", "a.test", "plaintext", raw(faulty.script).port))
    with Talk(it.port, behind.pki, "a.test", "http/1.1") as talk:
        sock = talk.open()
        sock.sendall(b"GET /early HTTP/1.1\r\nHost: a.test\r\n\r\n")
        got = b""
        while not got.endswith(b"\r\n\r\nok"):
            data = sock.recv(4096)
            assert data, got
            got += data
        first, _, last = got.partition(b"\r\n\r\n")
        assert first.startswith(b"HTTP/1.1 103 ") and b"link: </x>" in first.lower()
        assert b"content-length" not in first.lower()
        assert last.startswith(b"HTTP/1.1 200 ")
        clean(talk)
    with Talk(it.port, behind.pki, "a.test", "h2") as talk:
        told = talk.ask(b"/early")
        assert (told.status, told.body, told.fields["content-length"]) == (200, b"ok", "2")
        assert talk.h2 and [v for n, v in talk.h2.fields[1] if n == "content-length"] == ["2"]
        clean(talk)


# HTTP/2 behind us.


def sends(build: Callable[[int], bytes], then: Act | None = None) -> ActH2:
    def act(sock: socket.socket, stream: int) -> None:
        sock.sendall(build(stream))
        if then:
            then(sock)

    return act


def heads(code: bytes, *more: tuple[bytes, bytes]) -> ActH2:
    """A head that is all of the answer."""
    return sends(lambda n: h2_head(n, status(code, *more), end=True))


def short(behind: Callable[[int], bytes], *more: tuple[bytes, bytes], then: Act | None = None) -> ActH2:
    """A head, and what is behind it."""
    return sends(lambda n: h2_head(n, status(b"200", *more)) + behind(n), then)


NONE = b""
BAD_H2: dict[str, ActH2] = {
    "rst-internal": sends(lambda n: h2_reset(n, 2)),
    "rst-cancel": sends(lambda n: h2_reset(n, 8)),
    "rst-no-error": sends(lambda n: h2_reset(n, 0)),
    "goaway-processed": sends(lambda n: h2_goaway(n, 2), cut),
    "closed": sends(lambda _: NONE, cut),
    "reset": sends(lambda _: NONE, reset),
    "status-99": heads(b"99"),
    "status-600": heads(b"600"),
    "status-999": heads(b"999"),
    "status-empty": heads(b""),
    "status-twice": heads(b"200", (b":status", b"200")),
    "status-none": sends(lambda n: h2_head(n, literal(b"x-status", b"200"), end=True)),
    "status-101": heads(b"101"),
    "upper-case": heads(b"200", (b"Bad", b"x")),
    "connection": heads(b"200", (b"connection", b"close")),
    "chunked": heads(b"200", (b"transfer-encoding", b"chunked")),
    "crlf": heads(b"200", (b"x", b"y\r\nset-cookie: z")),
    "nul": heads(b"200", (b"x", b"y\0z")),
    "bad-name": heads(b"200", (b"x y", b"z")),
    "length-plus": heads(b"200", (b"content-length", b"+0")),
    "two-lengths": heads(b"200", (b"content-length", b"0"), (b"content-length", b"1")),
    "length-at-end": heads(b"200", (b"content-length", b"5")),
    "many-fields": heads(b"200", *[(b"x", b"y")] * 500),
    "data-first": sends(lambda n: h2_data(n, b"hello", end=True)),
    "http-1": sends(lambda _: OK + b"x" * 100),
}
SHORT_H2: dict[str, ActH2] = {
    "head-then-rst": short(lambda n: h2_reset(n, 2)),
    "data-then-rst": short(lambda n: h2_data(n, b"short") + h2_reset(n, 2)),
    "data-then-no-error": short(lambda n: h2_data(n, b"short") + h2_reset(n, 0)),
    "data-then-fin": short(lambda n: h2_data(n, b"short"), then=well),
    "data-then-rst-of-tcp": short(lambda n: h2_data(n, b"short"), then=reset),
    "data-then-goaway": short(lambda n: h2_data(n, b"short") + h2_goaway(n, 0), then=well),
    "length-short": short(lambda n: h2_data(n, b"short", end=True), (b"content-length", b"9")),
    "length-long": short(lambda n: h2_data(n, b"short", end=True), (b"content-length", b"3")),
    "length-none-came": short(lambda n: h2_data(n, b"", end=True), (b"content-length", b"9")),
}


@pytest.fixture(scope="module")
def behind_h2(pki: Pki) -> Iterator[tuple[EdgeKit, FaultyH2, Raw]]:
    faulty = FaultyH2({**BAD_H2, **SHORT_H2, "refused": sends(lambda n: h2_reset(n, 7))})
    upstream = Raw(faulty.script, pki.backend, clients=pki.internal.file, alpn=["h2"])
    more = VERIFY + 'present = "edge"\nupstream_protocol = "h2"\n'
    it = EdgeKit(pki, route("r", "c.test", "mutual", upstream.port, more=more))
    yield it, faulty, upstream
    it.close()
    upstream.close()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_broken_answer_of_an_http2_backend_is_a_bad_gateway(
    behind_h2: tuple[EdgeKit, FaultyH2, Raw], pki: Pki, protocol: str
) -> None:
    """U01, U02. Each asked for once, whatever it was."""
    it, faulty, _ = behind_h2
    with Talk(it.port, pki, "c.test", protocol) as talk:
        clean(talk)
        for name in BAD_H2:
            for method in (b"POST", b"GET"):
                before = faulty.count(f"/{name}")
                told = talk.ask(f"/{name}".encode(), method=method, body=b"hello" if method == b"POST" else None)
                asked = faulty.count(f"/{name}") - before
                assert told.status == 502 or (told.status, told.whole) == (0, False), (name, method, told)
                assert asked == 1 or (
                    method == b"GET" and asked == 2 and name in {"closed", "reset", "goaway-processed"}
                ), (name, asked)
                clean(talk)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_short_body_of_an_http2_backend_is_never_complete(
    behind_h2: tuple[EdgeKit, FaultyH2, Raw], pki: Pki, protocol: str
) -> None:
    """U01."""
    it, faulty, _ = behind_h2
    for name in SHORT_H2:
        for method in (b"POST", b"GET"):
            with Talk(it.port, pki, "c.test", protocol) as talk:
                clean(talk)
                before = faulty.count(f"/{name}")
                told = talk.ask(f"/{name}".encode(), method=method, body=b"hello" if method == b"POST" else None)
                assert not told.whole or told.status == 502, (name, method, told)
                assert faulty.count(f"/{name}") - before == 1, name
                clean(talk)


def test_a_stream_that_the_backend_says_it_never_looked_at_is_sent_once_more_at_most(
    behind_h2: tuple[EdgeKit, FaultyH2, Raw], pki: Pki
) -> None:
    """U03. RFC 9113 §8.7: REFUSED_STREAM says that nothing was done; who says it of everything gets no storm."""
    it, faulty, _ = behind_h2
    with Talk(it.port, pki, "c.test", "h2") as talk:
        for method in (b"GET", b"DELETE"):
            before = faulty.count("/refused")
            assert talk.ask(b"/refused", method=method).status == 502
            assert 1 <= faulty.count("/refused") - before <= 2
            clean(talk)


@pytest.mark.parametrize("name", [*SHORT_H2, "rst-internal", "closed", "reset", "status-600", "upper-case"])
def test_a_broken_call_never_ends_well_for_a_grpc_client(
    behind_h2: tuple[EdgeKit, FaultyH2, Raw], pki: Pki, name: str
) -> None:
    """U01. The client's own library says that it failed, and of a call that reached the backend's code nothing is OK."""
    it, _, _ = behind_h2
    with channel(it.port, "c.test", pki.public.file) as opened:
        with pytest.raises(grpc.RpcError) as caught:
            opened.unary_unary(f"/{name}")(b"hello", timeout=20)
    assert caught.value.code() in {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.CANCELLED,
    }, caught.value


# U03.


@contextlib.contextmanager
def full_backlog() -> Iterator[int]:
    """A port whose queue of connections is full: nobody accepts, and no more are taken."""
    with socket.socket() as listener, contextlib.ExitStack() as held:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        for _ in range(64):
            sock = held.enter_context(socket.socket())
            sock.settimeout(0.3)
            try:
                sock.connect(("127.0.0.1", port))
            except TimeoutError:
                break
        else:
            pytest.skip("this kernel's queue has no end")
        yield port


def leads_to(path: str, line: dict[str, Any]) -> bool:
    return bool(line["path"] == path)


def test_each_phase_that_stands_still_has_its_own_deadline(edge: Edges, raw: Raws, pki: Pki) -> None:
    """U03. Connect, TLS, first byte, head, body, upload: each with its own slug, over both protocols, all at once."""
    stop = threading.Event()

    def hold(_: socket.socket) -> None:
        stop.wait(60)

    faulty = Faulty(
        {
            "no-answer": hold,
            "half-head": says(HEAD + b"X: ", hold),
            "only-1xx": says(b"HTTP/1.1 103 Early Hints\r\n\r\n", hold),
            "head-only": says(HEAD + b"Content-Length: 5\r\n\r\n", hold),
            "half-body": says(HEAD + b"Content-Length: 100\r\n\r\nshort", hold),
            "half-chunk": says(CHUNKS + b"64\r\nshort", hold),
            "until-close": says(HEAD + b"\r\nshort", hold),
        }
    )
    deaf = raw(lambda sock, record: hold(sock))
    with full_backlog() as full:
        text = (
            route("phases", "a.test", "plaintext", raw(faulty.script).port)
            + route("full", "a.test", "plaintext", full, more='path = "/full"')
            + route("tls", "a.test", "reencrypt", deaf.port, more='path = "/tls"\n' + VERIFY)
            + route("deaf", "a.test", "plaintext", deaf.port, more='path = "/upload"')
        )
        it = edge(text, more="[limits]\nconnect_s = 2\nfirst_byte_s = 3\nbody_progress_s = 2\nanswer_silence_s = 2\n")
        cases: list[tuple[str, int, str, bytes | None]] = [
            ("full", 504, "hop/connect-timeout", None),
            ("tls", 504, "hop/connect-timeout", None),
            ("no-answer", 504, "hop/first-byte-timeout", None),
            ("half-head", 504, "hop/first-byte-timeout", None),
            ("only-1xx", 504, "hop/first-byte-timeout", None),
            ("upload", 504, "hop/body-too-slow", b"x" * (16 << 20)),
            ("head-only", 200, "hop/body-too-slow", None),
            ("half-body", 200, "hop/body-too-slow", None),
            ("half-chunk", 200, "hop/body-too-slow", None),
            ("until-close", 200, "hop/body-too-slow", None),
        ]

        def ask(case: tuple[tuple[str, int, str, bytes | None], str]) -> Told:
            (name, _, _, body), protocol = case
            with Talk(it.port, pki, "a.test", protocol) as talk:
                return talk.ask(f"/{name}".encode(), method=b"POST", body=body or b"hello")

        both = [(case, p) for case in cases for p in PROTOCOLS if (case[0], p) != ("upload", "h2")]
        try:
            with ThreadPoolExecutor(len(both)) as pool:
                for (case, protocol), told in zip(both, pool.map(ask, both), strict=True):
                    name, code, slug, _ = case
                    if code == 504:
                        assert (told.status, slug in told.body.decode()) == (504, True), (case[:3], protocol, told)
                    else:
                        assert not told.whole and told.status in {0, 200}, (case[:3], protocol, told)
                    ends = [x["end"] for x in it.lines() if x["path"] == f"/{name}" and x["protocol"] == protocol]
                    assert ends == [slug] or not ends, (name, ends)
        finally:
            stop.set()
        for name, _, slug, _ in cases:
            assert it.line(functools.partial(leads_to, f"/{name}"))["end"] == slug
        assert all(n == len(PROTOCOLS) for n in faulty.asked.values()), "a POST that stood still was sent once"
        with Talk(it.port, pki, "a.test", "h2") as talk:
            clean(talk)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("pattern", BEHIND)
@pytest.mark.parametrize("last_word", [b"", b"H"], ids=["silent", "began"])
def test_a_kept_connection_that_closes_under_a_request_costs_only_what_may_not_be_repeated(
    edge: Edges, raw: Raws, pki: Pki, pattern: str, protocol: str, last_word: bytes
) -> None:
    """U03. Without a byte of an answer GET, HEAD, OPTIONS and DELETE go out once more, on a new connection; POST, PATCH,
    what has a body, and what was begun to be answered never do."""
    asked: dict[str, int] = {}

    def script(sock: socket.socket, record: bytearray) -> None:
        first = True
        while request := head(sock, record):
            path = request.split(b" ")[1].decode()
            asked[path] = asked.get(path, 0) + 1
            if b"content-length: 5" in request:
                take(sock, record, 5)
            if path != "/clean" and not first:
                sock.sendall(last_word)
                return
            first = False
            sock.sendall(OK if not request.startswith(b"HEAD") else OK[:-2])

    host, more = BEHIND[pattern]
    backend = raw(script, pki.backend, clients=pki.internal.file) if pattern == "mutual" else raw(script)
    it = edge(route("r", host, pattern, backend.port, more=more))
    with Talk(it.port, pki, host, protocol) as talk:
        for method in (b"GET", b"HEAD", b"OPTIONS", b"DELETE", b"POST", b"PATCH", b"PUT"):
            clean(talk)
            body = b"hello" if method in {b"POST", b"PATCH", b"PUT"} else None
            told = talk.ask(b"/" + method, method=method, body=body)
            again = body is None and not last_word
            assert told.status == (200 if again else 502), (method, told)
            assert asked["/" + method.decode()] == (2 if again else 1), method
        clean(talk)
        bare = talk.ask(b"/bare-post", method=b"POST")
        assert (bare.status, asked["/bare-post"]) == (502, 1), "nor one without a body"


# U04.


class Flapping:
    """A backend that comes and goes on one port; going, it resets what is open."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.lock = threading.Lock()
        self.open: list[socket.socket] = []
        self.opened = 0
        self.listener: socket.socket | None = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self.listener.getsockname()[1]
        self.start()

    def start(self) -> None:
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def up(self) -> None:
        if self.listener is None:
            self.listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
            self.start()

    def down(self) -> None:
        with self.lock:
            listener, self.listener = self.listener, None
            if listener:
                # Wakes the thread that accepts, which else would take one more.
                listener.shutdown(socket.SHUT_RDWR)
                listener.close()
            for sock in self.open:
                with contextlib.suppress(OSError):
                    reset(sock)
            self.open.clear()

    def accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with self.lock:
                self.opened += 1
                self.open.append(sock)
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while request := head(sock, bytearray()):
                path = request.split(b" ")[1].decode()
                with self.lock:
                    self.counts[path] = self.counts.get(path, 0) + 1
                sock.sendall(OK)


def answered(backends: list[Flapping]) -> int:
    return sum(len(b.counts) for b in backends)


def has_answered(backends: list[Flapping], enough: int) -> bool:
    return answered(backends) > enough


@pytest.fixture
def three() -> Iterator[list[Flapping]]:
    found = [Flapping() for _ in range(3)]
    yield found
    for it in found:
        it.down()


LIVELY = "[limits]\neject_s = 1\n"


def test_one_of_three_backends_that_flaps_costs_no_get_and_doubles_no_post(
    edge: Edges, pki: Pki, three: list[Flapping]
) -> None:
    """U04. It refuses connections, resets kept ones and comes back, while clients of both protocols go on asking."""
    it = edge(route("r", "a.test", "plaintext", *(b.port for b in three)), more=LIVELY)
    done = threading.Event()
    failed: list[tuple[str, Told]] = []
    posts: list[str] = []

    def ask(n: int) -> int:
        count = 0
        with Talk(it.port, pki, "a.test", PROTOCOLS[n % 2]) as talk:
            while not done.is_set() or count < 50:
                count += 1
                path = f"/get-{n}-{count}"
                told = talk.ask(path.encode())
                if (told.status, told.body, told.whole) != (200, b"ok", True):
                    failed.append((path, told))
                if count % 10 == 0:
                    posts.append(f"/post-{n}-{count}")
                    talk.ask(posts[-1].encode(), method=b"POST", body=b"")
        return count

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask, n) for n in range(4)]
        try:
            for turn in range(12):
                # As many answers as it takes to know that the backend was asked in this state, or not.
                enough = answered(three) + 20
                until(functools.partial(has_answered, three, enough))
                three[2].down() if turn % 2 == 0 else three[2].up()
        finally:
            done.set()
        total = sum(a.result() for a in asking)
    assert total > 200 and not failed, (total, failed[:3])
    assert posts and all(sum(b.counts.get(path, 0) for b in three) <= 1 for path in posts)
    assert three[2].counts, "it had its share"


def test_a_backend_that_takes_connections_and_drops_them_costs_no_get(edge: Edges, raw: Raws, pki: Pki) -> None:
    """U03, U04. It connects, so it counts as up; what it never began to answer is asked of another, once, and of nobody
    if it was a POST."""
    seen: list[bytes] = []

    def drops(sock: socket.socket, record: bytearray) -> None:
        seen.append(head(sock, record) or b"")

    faulty = Faulty({})
    it = edge(route("r", "a.test", "plaintext", raw(drops).port, raw(faulty.script).port))
    for protocol in PROTOCOLS:
        with Talk(it.port, pki, "a.test", protocol) as talk:
            for n in range(20):
                assert talk.ask(f"/{protocol}-{n}".encode()).status == 200
                path = f"/post-{protocol}-{n}"
                told = talk.ask(path.encode(), method=b"POST", body=b"hello")
                there = sum(path.encode() in request for request in seen)
                assert (told.status, there + faulty.count(path)) in {(200, 1), (502, 1)}, told
    assert any(b"GET" in request for request in seen) and any(b"POST" in request for request in seen)


def test_a_retry_is_one_and_not_a_storm(edge: Edges, raw: Raws, pki: Pki) -> None:
    """U04. All backends drop what they get: a GET is tried at two of them, a POST at one."""
    seen: list[bytes] = []

    def drops(sock: socket.socket, record: bytearray) -> None:
        seen.append(head(sock, record) or b"")

    it = edge(route("r", "a.test", "plaintext", *(raw(drops).port for _ in range(4))))
    with Talk(it.port, pki, "a.test", "h2") as talk:
        for method, tries in ((b"GET", 2), (b"POST", 1)):
            told = talk.ask(b"/" + method, method=method)
            assert told.status == 502 and b"hop/closed" in told.body
            assert sum(request.startswith(method) for request in seen) == tries


def test_with_all_down_the_answer_is_quick_and_on_recovery_there_is_no_stampede(
    edge: Edges, pki: Pki, three: list[Flapping]
) -> None:
    """U04. 502 at once, POST as well; when they are back everybody is served over a few connections."""
    it = edge(route("r", "a.test", "plaintext", *(b.port for b in three)), more=LIVELY)
    for backend in three:
        backend.down()
    for protocol in PROTOCOLS:
        with Talk(it.port, pki, "a.test", protocol) as talk:
            for n in range(20):
                told = talk.ask(b"/down", method=b"POST" if n % 2 else b"GET")
                assert told.status == 502 and b"hop/connect-failed" in told.body
    for backend in three:
        backend.up()
    with Talk(it.port, pki, "a.test", "h2") as talk:
        assert until(lambda: talk.ask(b"/up").status == 200)
        opened = sum(b.opened for b in three)
        for n in range(60):
            assert talk.ask(f"/{n}".encode()).status == 200
        assert sum(b.opened for b in three) - opened <= 3, "one for each backend at most"


PATCH = """
import json, os, socket
_real = socket.getaddrinfo
def _from_file(host, *more, **named):
    table = json.loads(open({table!r}).read())
    return _real(table.get(host, host), *more, **named)
socket.getaddrinfo = _from_file
"""


def test_a_name_that_moves_takes_its_requests_along(
    edge: Edges, raw: Raws, pki: Pki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """U04. Another answer of the resolver, brought by a reload, while a connection to the old address is open in the pool
    and in use; then none at all: the last good one stays."""
    table = tmp_path / "names.json"
    (tmp_path / "sitecustomize.py").write_text(PATCH.format(table=str(table)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    port = raw(Faulty({}).script, pki.backend).port
    # One port at two addresses: only the answer of the resolver differs.
    second = socket.create_server(("127.0.0.2", port), backlog=16)
    new = Faulty({})

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = second.accept()
                threading.Thread(target=serve, args=(sock,), daemon=True).start()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.backend.chain, pki.backend.key)

    def serve(sock: socket.socket) -> None:
        with contextlib.suppress(OSError), context.wrap_socket(sock, server_side=True) as spoken:
            new.script(spoken, bytearray())

    threading.Thread(target=accept, daemon=True).start()
    table.write_text('{"moving.test": "127.0.0.1", "other.test": "127.0.0.1"}')

    def configured(*more: str) -> str:
        to = [f"moving.test:{port}", *more]
        return "".join(
            f'[[route]]\nname = "r{n}"\nhost = "a.test"\npath = "/{n}"\ntls = "reencrypt"\nto = ["{at}"]\n{VERIFY}\n'
            for n, at in enumerate(to)
        )

    it = edge(configured())
    with Talk(it.port, pki, "a.test", "http/1.1") as talk:
        assert until(lambda: talk.ask(b"/0").status == 200)
        assert new.opened == 0
        table.write_text('{"moving.test": "127.0.0.2", "other.test": "127.0.0.1"}')
        assert it.reload(configured(f"other.test:{port}"))["reloaded"]
        assert until(lambda: talk.ask(b"/0/moved").status == 200 and new.count("/0/moved") > 0)
        table.write_text('{"moving.test": "nowhere.invalid", "other.test": "127.0.0.1"}')
        assert it.reload(configured())["reloaded"]
        assert talk.ask(b"/0/still").status == 200 and new.count("/0/still") == 1
    second.close()

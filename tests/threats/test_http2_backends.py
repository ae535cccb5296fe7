"""HTTP/2 towards backends, which is what gRPC uses: a request's end arrives, one client cannot stop another, and what a
backend did not look at goes again."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import h2.config
import h2.connection
import h2.errors
import h2.events
import pytest
from hpack import NeverIndexedHeaderTuple

from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.h2_backend import Asked, H2Backend, Spoken
from tests.kit.raw import OK, answering
from tests.threats.frames import DATA, END_HEADERS, END_STREAM, HEADERS, WINDOW_UPDATE, Client, fields, frame
from tests.threats.ground import response
from tests.threats.talk import Talk

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]


def route(port: int, protocol: str = "h2") -> str:
    return (
        f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n'
        f'upstream_protocol = "{protocol}"\n'
    )


def at_its_end(it: Spoken, asked: Asked, event: h2.events.Event) -> None:
    """Answers once the request is over, as a server does that reads the body first."""
    if isinstance(event, h2.events.StreamEnded):
        it.answer(asked.stream, b"%d" % len(asked.body))


EMPTY = {
    "length 0": b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n",
    "delete of length 0": b"DELETE / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n",
    "the last chunk alone": b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "no length": b"POST / HTTP/1.1\r\nHost: a.test\r\n\r\n",
}


@pytest.mark.parametrize("protocol", ["http/1.1", "h2"])
def test_the_end_of_an_empty_body_arrives_however_it_is_said(edge: Edges, raw: Raws, pki: Pki, protocol: str) -> None:
    """F02."""
    script = H2Backend(at_its_end)
    backend = raw(script if protocol == "h2" else answering(OK.replace(b"ok", b"0 ")))

    def came() -> bool:
        return b" /later " in backend.received or any(a.fields[b":path"] == b"/later" for a in script.asked)

    it = edge(route(backend.port, protocol))
    for how, request in EMPTY.items():
        with tls(it.port, "a.test", pki.public.file) as sock:
            sock.settimeout(20)
            sock.sendall(request)
            assert response(sock)[:2] == (200, b"0" if protocol == "h2" else b"0 "), how
    for how in ("with the head", "with an empty piece", "with an empty piece, later"):
        with tls(it.port, "a.test", pki.public.file, alpn=["h2"]) as sock:
            client = Client(sock)
            block = fields("a.test", method=b"POST", path=b"/" + how.split()[-1].encode())
            ends = END_STREAM if how == "with the head" else 0
            client.send(frame(HEADERS, block, flags=END_HEADERS | ends, stream=1))
            if how.endswith("later"):
                # The head went on without its end.
                until(lambda: came() or None)
            if not ends:
                client.send(frame(DATA, b"", flags=END_STREAM, stream=1))
            assert client.whole(1) == "200", how


LARGE = b"x" * 150_000


def large_or_small(it: Spoken, asked: Asked, event: h2.events.Event) -> None:
    if isinstance(event, h2.events.StreamEnded):
        it.answer(asked.stream, LARGE if asked.fields[b":path"] == b"/large" else b"small")


@pytest.mark.parametrize("stalled", [17, 64, 120])
def test_readers_that_read_nothing_hold_nobody_else_up(edge: Edges, raw: Raws, pki: Pki, stalled: int) -> None:
    """F03. Each of them holds its own window at the backend's connection, and no more."""
    script = H2Backend(large_or_small)
    backend = raw(script)
    # However long it takes to open them all, none is cut for being slow.
    it = edge(route(backend.port), more="[limits]\nbody_progress_s = 300\n")
    with ExitStack() as stack:
        clients = [
            stalling(stack.enter_context(tls(it.port, "a.test", pki.public.file, alpn=["h2"]))) for _ in range(stalled)
        ]
        until(lambda: sum(a.ended for a in script.asked) == stalled or None)
        for _ in range(3):
            with tls(it.port, "a.test", pki.public.file) as sock:
                assert exchange(sock, "GET /small HTTP/1.1\r\nHost: a.test\r\n\r\n").body == b"small"
        # They were slow, and not forgotten.
        for client in clients[:3]:
            client.send(frame(WINDOW_UPDATE, (1 << 20).to_bytes(4, "big"), stream=1))
            client.send(frame(WINDOW_UPDATE, (1 << 20).to_bytes(4, "big")))
            assert client.whole(1) == "200" and client.bodies[1] == LARGE
    assert script.connections == (1 if stalled < 100 else 2), "more are opened where streams run out"


def stalling(sock: ssl.SSLSocket) -> Client:
    """Takes no byte of a body before it says so (RFC 9113 section 6.9.2)."""
    client = Client(sock, (4).to_bytes(2, "big") + bytes(4))
    client.send(frame(HEADERS, fields("a.test", path=b"/large"), flags=END_HEADERS | END_STREAM, stream=1))
    return client


def refusing(first: int, how: str) -> Callable[[Spoken, Asked, h2.events.Event], None]:
    """The first `first` connections refuse what they are asked, once its body is there."""

    def on(it: Spoken, asked: Asked, event: h2.events.Event) -> None:
        if not isinstance(event, h2.events.StreamEnded):
            return
        if it.number > first:
            it.answer(asked.stream, b"%d" % len(asked.body))
        elif how == "REFUSED_STREAM":
            it.h2.reset_stream(asked.stream, h2.errors.ErrorCodes.REFUSED_STREAM)
        else:
            it.h2.close_connection(last_stream_id=0)

    return on


BODIES = {"none": b"", "small": b"a" * 1000, "as much as is held": b"b" * 65_536}


@pytest.mark.parametrize("how", ["REFUSED_STREAM", "GOAWAY"])
@pytest.mark.parametrize("client", ["http/1.1", "h2"])
def test_what_a_backend_did_not_look_at_goes_again_with_its_body(
    edge: Edges, raw: Raws, pki: Pki, how: str, client: str
) -> None:
    """F03. Also a POST: nobody acted on it (RFC 9113 section 8.7)."""
    for name, whole in BODIES.items():
        # A frame of HTTP/2 takes no more.
        body = whole[:16_384] if client == "h2" else whole
        script = H2Backend(refusing(1, how))
        it = edge(route(raw(script).port))
        with Talk(it.port, pki, "a.test", client) as talk:
            told = talk.ask(b"/", method=b"POST", body=body)
        assert (told.status, told.body) == (200, b"%d" % len(body)), (name, told)
        assert [(a.connection, a.body) for a in script.asked] == [(1, body), (2, body)], name


def test_a_body_that_is_not_held_any_more_and_what_is_refused_twice_do_not_go_again(
    edge: Edges, raw: Raws, pki: Pki
) -> None:
    """F03."""
    for body, refusals, asked in ((b"c" * 65_537, 1, 1), (b"d" * 10, 2, 2)):
        script = H2Backend(refusing(refusals, "REFUSED_STREAM"))
        it = edge(route(raw(script).port))
        with Talk(it.port, pki, "a.test", "http/1.1") as talk:
            assert talk.ask(b"/", method=b"POST", body=body).status == 502
        assert [a.body for a in script.asked] == [body] * asked


def test_nothing_is_asked_of_a_connection_that_is_going_away(edge: Edges, raw: Raws, pki: Pki) -> None:
    """F03. A graceful GOAWAY (RFC 9113 section 6.8): what is under way goes on, what comes then opens another connection."""

    def on(it: Spoken, asked: Asked, event: h2.events.Event) -> None:
        if not isinstance(event, h2.events.StreamEnded):
            return
        if asked.fields[b":path"] == b"/long":
            # It stays open, and the connection says that it takes nothing more.
            it.sock.sendall(it.h2.data_to_send() + frame(7, b"\x7f\xff\xff\xff" + bytes(4)))
        else:
            it.answer(asked.stream, b"%d" % it.number)

    script = H2Backend(on)
    it = edge(route(raw(script).port))
    with tls(it.port, "a.test", pki.public.file) as long:
        long.sendall(b"GET /long HTTP/1.1\r\nHost: a.test\r\n\r\n")
        until(lambda: [a for a in script.asked if a.ended] or None)
        with Talk(it.port, pki, "a.test", "http/1.1") as talk:
            for _ in range(5):
                told = talk.ask(b"/", method=b"POST", body=b"body")
                assert (told.status, told.body) == (200, b"2")
    assert script.connections == 2


def test_a_connection_that_answers_nothing_is_asked_nothing_more(edge: Edges, raw: Raws, pki: Pki) -> None:
    """F03."""

    def on(it: Spoken, asked: Asked, event: h2.events.Event) -> None:
        if it.number > 1 and isinstance(event, h2.events.StreamEnded):
            it.answer(asked.stream)

    script = H2Backend(on)
    it = edge(route(raw(script).port), more="[limits]\nfirst_byte_s = 1\n")
    with Talk(it.port, pki, "a.test", "http/1.1") as talk:
        assert [talk.ask().status for _ in range(3)] == [504, 200, 200]
    assert script.connections == 2


def test_trailers_of_an_answer_keep_what_the_application_says(edge: Edges, raw: Raws, pki: Pki) -> None:
    """P05. The rule against forging is for requests; what frames a message stays out of both."""

    def on(it: Spoken, asked: Asked, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.StreamEnded):
            it.h2.send_headers(asked.stream, [(b":status", b"200")])
            it.h2.send_data(asked.stream, b"ok")
            it.h2.send_headers(asked.stream, TRAILERS, end_stream=True)

    it = edge(route(raw(H2Backend(on)).port))
    with Talk(it.port, pki, "a.test", "h2") as talk:
        told = talk.ask()
        assert talk.h2 is not None
        found = list(pairs(talk.h2.fields[1]))
    assert told.status == 200
    assert [(n.encode(), v.encode()) for n, v in found if n in {n.decode() for n, _ in TRAILERS}] == TRAILERS


TRAILERS = [
    (b"grpc-status", b"7"),
    (b"grpc-message", b"no"),
    (b"x-request-id", b"its own"),
    (b"x-forwarded-thing", b"y"),
    (b"retry-info-bin", b"AAAA"),
    (b"date", b"yesterday"),
]


def pairs(found: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """What stands behind the head of an answer: the trailers, which are last."""
    return iter(found[next(i for i, (n, _) in enumerate(found) if n == "grpc-status") :])


PING = b"\x00\x00\x08\x06\x00\x00\x00\x00\x00"


def holding(answers: threading.Event | None) -> Callable[[Spoken, Asked, h2.events.Event], None]:
    """The first connection owes an answer to `/held`, and where it `answers` nothing it is as good as dead until then."""

    def on(it: Spoken, asked: Asked, event: h2.events.Event) -> None:
        if not isinstance(event, h2.events.StreamEnded):
            return
        if asked.fields[b":path"] == b"/held":
            if answers is not None:
                assert answers.wait(120)
        else:
            it.answer(asked.stream, b"%d" % it.number)

    return on


def test_a_silent_connection_that_does_not_answer_a_ping_is_asked_nothing_more(
    edge: Edges, raw: Raws, pki: Pki
) -> None:
    """F03. Long before what it owes is late."""
    over = threading.Event()
    script = H2Backend(holding(over))
    it = edge(route(raw(script).port))

    def answered(within: float = 5) -> bytes | None:
        with tls(it.port, "a.test", pki.public.file) as sock:
            sock.settimeout(within)
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
            status, body, _ = response(sock)
            return body if status == 200 else None

    with tls(it.port, "a.test", pki.public.file) as held:
        held.sendall(b"GET /held HTTP/1.1\r\nHost: a.test\r\n\r\n")
        until(lambda: script.asked or None)
        # Of the first none is answered: it reads nothing until the end.
        assert until(answered, 45)
        for _ in range(5):
            assert answered(within=60) not in (None, b"1")
        over.set()


def test_a_silent_connection_that_answers_a_ping_goes_on(edge: Edges, raw: Raws, pki: Pki) -> None:
    """F03. A stream may be silent for long, and is asked once."""
    script = H2Backend(holding(None))
    backend = raw(script)
    it = edge(route(backend.port))
    with tls(it.port, "a.test", pki.public.file) as held:
        held.sendall(b"GET /held HTTP/1.1\r\nHost: a.test\r\n\r\n")
        until(lambda: PING in backend.received or None, 30)
        with Talk(it.port, pki, "a.test", "http/1.1") as talk:
            assert talk.ask().body == b"1"
    assert backend.received.count(PING) == 1


def test_what_nobody_is_to_keep_goes_on_as_such_in_both_directions(edge: Edges, raw: Raws, pki: Pki) -> None:
    """RFC 7541 §7.1.3: who passes it on must not put it into a table either, where others could guess at it."""
    seen: dict[bytes, bool] = {}

    def on(it: Spoken, asked: Asked, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            seen.update({field[0]: isinstance(field, NeverIndexedHeaderTuple) for field in event.headers})
            secret = NeverIndexedHeaderTuple(b"x-answer", b"s3cret")
            it.h2.send_headers(asked.stream, [(b":status", b"200"), secret], end_stream=True)

    it = edge(route(raw(H2Backend(on)).port))
    with tls(it.port, "a.test", pki.public.file, alpn=["h2"]) as sock:
        sock.settimeout(20)
        client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
        client.initiate_connection()
        pseudo = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a.test"), (b":path", b"/")]
        for more in ([(b"x-asked", b"open")], [NeverIndexedHeaderTuple(b"x-asked", b"s3cret")]):
            stream = client.get_next_available_stream_id()
            client.send_headers(stream, [*pseudo, *more], end_stream=True)
            sock.sendall(client.data_to_send())
            answer: dict[bytes, bool] = {}
            while not answer:
                for event in client.receive_data(sock.recv(65_536)):
                    if isinstance(event, h2.events.ResponseReceived):
                        answer = {field[0]: isinstance(field, NeverIndexedHeaderTuple) for field in event.headers}
            assert answer[b"x-answer"]
            assert seen[b"x-asked"] == isinstance(more[0], NeverIndexedHeaderTuple)

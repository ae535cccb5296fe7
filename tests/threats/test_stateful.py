"""Whole connections, many at once, in any order of what clients do: a model says which requests were forwarded, and the
recording upstreams hold exactly those. Hypothesis looks for the shortest story in which they differ."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.kit import Pki
from tests.kit.edge import until
from tests.kit.settle import settle
from tests.threats.frames import DATA, END_HEADERS, END_STREAM, HEADERS, RST_STREAM, Client, fields, frame
from tests.threats.ground import HOSTS, ROUTES, Ground, by_h11, by_httptools, response

MINUTES = float(os.environ.get("EVERYHOP_STATEFUL_MINUTES", "0"))
"""Longer and other stories than those of the tests, for so long: `make fuzz`."""

PATTERNS = ("plaintext", "reencrypt", "mutual", "passthrough")
HOST_OF = {**HOSTS, "passthrough": "pass.test"}
TERMINATING = tuple(HOSTS)
CANCEL = 8
RUNS = itertools.count()

TOGGLED = """
[[route]]
name = "toggled"
host = "a.test"
path = "/toggled"
tls = "plaintext"
to = ["127.0.0.1:{private}"]
"""

BROKEN = {
    # What each is answered; the connection ends with it.
    "length and coding": (
        b"POST %t HTTP/1.1\r\nHost: %h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
    ),
    "bare LF": (b"GET %t HTTP/1.1\nHost: %h\n\n", 400),
    "fold": (b"GET %t HTTP/1.1\r\nHost: %h\r\nA: b\r\n c\r\n\r\n", 400),
    "two hosts": (b"GET %t HTTP/1.1\r\nHost: %h\r\nHost: %h\r\n\r\n", 400),
    "space before the colon": (b"GET %t HTTP/1.1\r\nHost : %h\r\n\r\n", 400),
    "dots": (b"GET /..%t HTTP/1.1\r\nHost: %h\r\n\r\n", 400),
    "dots in disguise": (b"GET /%25%32%65%25%32%65%3b%t HTTP/1.1\r\nHost: %h\r\n\r\n", 400),
    "coding": (b"POST %t HTTP/1.1\r\nHost: %h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
    "negative length": (b"POST %t HTTP/1.1\r\nHost: %h\r\nContent-Length: -1\r\n\r\n", 400),
    "HTTP/1.2": (b"GET %t HTTP/1.2\r\nHost: %h\r\n\r\n", 505),
}

Forwarded = tuple[bytes, bytes, bytes]
"""Method, target and body."""


@dataclass
class Talk:
    """A connection of HTTP/1, with what is still owed of a request that was begun."""

    pattern: str
    sock: ssl.SSLSocket
    owed: bytes = b""
    begun: Forwarded | None = None


@dataclass
class Streams:
    """A connection of HTTP/2; `open` are streams whose body is not complete."""

    pattern: str
    client: Client
    next: int = 1
    open: dict[int, Forwarded] = field(default_factory=dict)

    @property
    def lives(self) -> bool:
        """Some of what HTTP/2 forbids ends the stream, some the connection with all of its streams."""
        return self.client.goaway is None and not self.client.closed


def routes(ground: Ground, toggled: bool) -> str:
    ports = {name: it.port for name, it in ground.upstreams.items()}
    return (ROUTES + (TOGGLED if toggled else "")).format(**ports)


class Stories(RuleBasedStateMachine):
    ground: Ground

    def __init__(self) -> None:
        super().__init__()
        self.run, self.numbers = next(RUNS), itertools.count()
        self.talks: list[Talk] = []
        self.streams: list[Streams] = []
        self.toggled = False
        self.due: dict[str, list[Forwarded]] = {name: [] for name in self.ground.upstreams}
        self.attacked = False
        self.began = {name: [len(r) for r in it.records] for name, it in self.ground.upstreams.items()}

    # Helpers of the model.

    def target(self, below: str = "") -> bytes:
        return f"{below}/s{self.run}-{next(self.numbers)}".encode()

    def fresh(self, name: str) -> Iterator[bytes]:
        """What came to an upstream since this story began, a connection each."""
        before = self.began[name]
        for i, record in enumerate(list(self.ground.upstreams[name].records)):
            yield bytes(record[before[i] if i < len(before) else 0 :])

    def arrived(self, name: str) -> list[Forwarded]:
        """The complete requests of this story. A record is read from its start: one story ends in the middle of a request,
        and the rest of that may come in the next."""
        mine = b"/s%d-" % self.run
        records = [data for r in list(self.ground.upstreams[name].records) if mine in (data := bytes(r))]
        return [r for record in records for r in whole(record) if mine in r[1]]

    def seen(self, name: str, target: bytes) -> int:
        return sum(len(re.findall(rb"[A-Z]+ %s[ ?]" % re.escape(target), data)) for data in self.fresh(name))

    def forwarded(self, pattern: str, it: Forwarded) -> None:
        """It was answered by the upstream, so it is there, once, and nowhere else."""
        self.due[pattern].append(it)
        assert {name: self.seen(name, it[1]) for name in self.due} == {n: int(n == pattern) for n in self.due}, it

    def nowhere(self, target: bytes) -> None:
        self.attacked = True
        settle(self.ground.edge, *self.ground.upstreams.values())
        assert not any(self.seen(name, target) for name in self.due), f"{target!r} reached an upstream"

    def gone(self, it: Talk) -> None:
        self.talks.remove(it)
        it.sock.close()

    def idle(self, data: st.DataObject, patterns: tuple[str, ...] = PATTERNS) -> Talk:
        """A connection between two requests: one that is there, or a new one."""
        there = [t for t in self.talks if not t.owed and t.pattern in patterns]
        if there and self.again(data):
            return data.draw(st.sampled_from(there), label="connection")
        return self.connect(data.draw(st.sampled_from(patterns), label="pattern"))

    def again(self, data: st.DataObject) -> bool:
        return data.draw(st.booleans(), label="again")

    def connect(self, pattern: str) -> Talk:
        it = Talk(pattern, self.ground.connect(HOST_OF[pattern]))
        self.talks.append(it)
        return it

    def h2(self, data: st.DataObject) -> Streams:
        there = [s for s in self.streams if s.lives]
        if there and self.again(data):
            return data.draw(st.sampled_from(there), label="connection")
        pattern = data.draw(st.sampled_from(TERMINATING), label="pattern")
        it = Streams(pattern, Client(self.ground.connect(pattern, alpn=["h2"])))
        self.streams.append(it)
        return it

    # HTTP/1.

    @rule(data=st.data(), method=st.sampled_from([b"GET", b"HEAD", b"DELETE", b"OPTIONS"]))
    def asks(self, data: st.DataObject, method: bytes) -> None:
        it, target = self.idle(data), self.target()
        it.sock.sendall(b"%s %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (method, target, HOST_OF[it.pattern].encode()))
        assert response(it.sock, method.decode())[0] == 200
        self.forwarded(it.pattern, (method, target, b""))

    @rule(
        data=st.data(),
        body=st.binary(max_size=300),
        chunked=st.booleans(),
        cuts=st.lists(st.integers(0, 500), max_size=4),
    )
    def sends_a_body_in_pieces(self, data: st.DataObject, body: bytes, chunked: bool, cuts: list[int]) -> None:
        it, target = self.idle(data), self.target()
        sent = posted(HOST_OF[it.pattern], target, body, chunked)
        for start, end in itertools.pairwise([0, *sorted(min(c, len(sent)) for c in cuts), len(sent)]):
            it.sock.sendall(sent[start:end])
        assert response(it.sock)[0] == 200
        self.forwarded(it.pattern, (b"POST", target, body))

    @rule(data=st.data(), body=st.binary(min_size=1, max_size=100), chunked=st.booleans(), cut=st.integers(1, 600))
    def begins_a_request(self, data: st.DataObject, body: bytes, chunked: bool, cut: int) -> None:
        it, target = self.idle(data), self.target()
        sent = posted(HOST_OF[it.pattern], target, body, chunked)
        cut = 1 + cut % (len(sent) - 1)
        it.sock.sendall(sent[:cut])
        it.owed, it.begun = sent[cut:], (b"POST", target, body)

    @precondition(lambda self: any(t.owed for t in self.talks))
    @rule(data=st.data())
    def ends_what_it_began(self, data: st.DataObject) -> None:
        it = data.draw(st.sampled_from([t for t in self.talks if t.owed]), label="connection")
        it.sock.sendall(it.owed)
        assert response(it.sock)[0] == 200
        assert it.begun is not None
        self.forwarded(it.pattern, it.begun)
        it.owed, it.begun = b"", None

    @rule(data=st.data(), count=st.integers(2, 4), broken=st.none() | st.sampled_from(sorted(BROKEN)))
    def pipelines(self, data: st.DataObject, count: int, broken: str | None) -> None:
        it = self.idle(data, TERMINATING)
        host, targets = HOST_OF[it.pattern], [self.target() for _ in range(count)]
        sent, tail = b"".join(posted(host, t, b"hello", False) for t in targets), [self.target(), self.target()]
        if broken:
            sent += bad(broken, host, tail[0]) + posted(host, tail[1], b"x", False)
        it.sock.sendall(sent)
        for target in targets:
            assert response(it.sock)[0] == 200
            self.forwarded(it.pattern, (b"POST", target, b"hello"))
        if broken:
            assert response(it.sock)[0] == BROKEN[broken][1]
            self.gone(it)
            for target in tail:
                self.nowhere(target)

    @rule(data=st.data(), broken=st.sampled_from(sorted(BROKEN)))
    def sends_what_is_broken(self, data: st.DataObject, broken: str) -> None:
        it, target = self.idle(data, TERMINATING), self.target()
        it.sock.sendall(bad(broken, HOST_OF[it.pattern], target))
        assert response(it.sock)[0] == BROKEN[broken][1], broken
        # Whatever follows is nobody's request.
        with contextlib.suppress(OSError):
            it.sock.sendall(posted(HOST_OF[it.pattern], self.target(), b"x", False))
        self.gone(it)
        self.nowhere(target)
        self.nowhere(b"/s%d-%d" % (self.run, int(target.rpartition(b"-")[2]) + 1))

    @rule(data=st.data(), chunk=st.sampled_from([b"5\nhello", b"5\r\nhelloX", b"0x5\r\nhello", b"5;\x00\r\n"]))
    def breaks_a_chunk(self, data: st.DataObject, chunk: bytes) -> None:
        it, target = self.idle(data, TERMINATING), self.target()
        sent = posted(HOST_OF[it.pattern], target, b"", True)[: -len(b"0\r\n\r\n")] + chunk + b"\r\n0\r\n\r\n"
        it.sock.sendall(sent)
        assert response(it.sock)[0] in {0, 400}
        self.gone(it)
        self.attacked = True
        settle(self.ground.edge, *self.ground.upstreams.values())
        complete = [r for r in self.arrived(it.pattern) if r[1] == target]
        assert not complete, "a broken body became a complete one"

    @rule(data=st.data(), host=st.sampled_from(["m.test", "pass.test", "nobody.test"]))
    def asks_for_another_site(self, data: st.DataObject, host: str) -> None:
        it, target = self.idle(data, TERMINATING), self.target()
        it.sock.sendall(posted(host, target, b"hello", False))
        assert response(it.sock)[0] == 421
        self.nowhere(target)

    @rule(data=st.data(), other=st.sampled_from(TERMINATING))
    def asks_for_another_host_of_the_site(self, data: st.DataObject, other: str) -> None:
        it, target = self.idle(data, TERMINATING), self.target()
        it.sock.sendall(posted(HOSTS[other], target, b"hello", False))
        assert response(it.sock)[0] == 200
        self.forwarded(other, (b"POST", target, b"hello"))

    @precondition(lambda self: self.talks)
    @rule(data=st.data(), how=st.sampled_from(["close", "reset", "half"]))
    def leaves(self, data: st.DataObject, how: str) -> None:
        it = data.draw(st.sampled_from(self.talks), label="connection")
        if how == "reset":
            it.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif how == "half":
            it.sock.shutdown(socket.SHUT_WR)
            with contextlib.suppress(OSError):
                while it.sock.recv(65536):
                    pass
        self.gone(it)

    # HTTP/2.

    @rule(data=st.data(), body=st.none() | st.lists(st.binary(max_size=200), max_size=4))
    def asks_on_a_stream(self, data: st.DataObject, body: list[bytes] | None) -> None:
        it, target = self.h2(data), self.target()
        stream, it.next = it.next, it.next + 2
        method = b"GET" if body is None else b"PUT"
        block = fields(HOST_OF[it.pattern], method=method, path=target)
        flags = END_HEADERS | (END_STREAM if body is None else 0)
        sent = frame(HEADERS, block, flags=flags, stream=stream)
        if body is not None:
            sent += b"".join(frame(DATA, piece, stream=stream) for piece in body)
            sent += frame(DATA, flags=END_STREAM, stream=stream)
        it.client.send(sent)
        assert it.client.whole(stream) == "200"
        self.forwarded(it.pattern, (method, target, b"".join(body or [])))

    @rule(data=st.data())
    def opens_a_stream(self, data: st.DataObject) -> None:
        it, target = self.h2(data), self.target()
        stream, it.next = it.next, it.next + 2
        block = fields(HOST_OF[it.pattern], method=b"PUT", path=target)
        it.client.send(frame(HEADERS, block, flags=END_HEADERS, stream=stream) + frame(DATA, b"half ", stream=stream))
        it.open[stream] = (b"PUT", target, b"half whole")

    @precondition(lambda self: any(s.open for s in self.streams if s.lives))
    @rule(data=st.data(), cancel=st.booleans())
    def ends_or_cancels_a_stream(self, data: st.DataObject, cancel: bool) -> None:
        it = data.draw(st.sampled_from([s for s in self.streams if s.open and s.lives]), label="connection")
        stream = data.draw(st.sampled_from(sorted(it.open)), label="stream")
        request = it.open.pop(stream)
        if cancel:
            it.client.send(frame(RST_STREAM, CANCEL.to_bytes(4, "big"), stream=stream))
            return
        it.client.send(frame(DATA, b"whole", flags=END_STREAM, stream=stream))
        assert it.client.whole(stream) == "200"
        self.forwarded(it.pattern, request)

    @rule(
        data=st.data(),
        more=st.sampled_from([(b"connection", b"close"), (b"Bad", b"x"), (b"te", b"gzip"), (b"host", b"other.test")]),
    )
    def sends_forbidden_fields_on_a_stream(self, data: st.DataObject, more: tuple[bytes, bytes]) -> None:
        it, target = self.h2(data), self.target()
        stream, it.next = it.next, it.next + 2
        outcome = it.client.ask(stream, fields(HOST_OF[it.pattern], more, path=target))
        assert outcome in {"400", "reset", "gone"}, outcome
        self.nowhere(target)

    # The plan changes in between.

    @rule()
    def reloads(self) -> None:
        self.toggled = not self.toggled
        assert self.ground.edge.reload(routes(self.ground, self.toggled))["reloaded"]

        def obeyed() -> bool:
            # Each thread takes the plan up between two events: asked often enough, both have answered.
            return all(self.probe() == ("private" if self.toggled else "plaintext") for _ in range(6))

        until(obeyed, 20)

    def probe(self) -> str:
        target = self.target("/toggled")
        with self.ground.connect() as sock:
            sock.sendall(b"GET %s HTTP/1.1\r\nHost: a.test\r\n\r\n" % target)
            assert response(sock)[0] == 200
        (name,) = [name for name in self.due if self.seen(name, target)]
        self.forwarded(name, (b"GET", target, b""))
        return name

    # What holds after each step, and at the end.

    @invariant()
    def a_clean_request_is_served(self) -> None:
        if self.attacked:
            self.attacked = False
            self.ground.clean("plaintext")

    def teardown(self) -> None:
        for it in list(self.talks):
            self.gone(it)
        for s in self.streams:
            s.client.sock.close()
        for name, due in self.due.items():
            assert sorted(self.arrived(name)) == sorted(due), name
        if self.toggled:
            self.reloads()


def posted(host: str, target: bytes, body: bytes, chunked: bool) -> bytes:
    head = b"POST %s HTTP/1.1\r\nHost: %s\r\n" % (target, host.encode())
    if not chunked:
        return head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    pieces = [body[i : i + 7] for i in range(0, len(body), 7)]
    return (
        head
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces)
        + b"0\r\n\r\n"
    )


def bad(broken: str, host: str, target: bytes) -> bytes:
    return BROKEN[broken][0].replace(b"%t", target).replace(b"%h", host.encode())


def whole(data: bytes) -> list[Forwarded]:
    """The complete requests in what an upstream received; two parsers agree on them."""
    found = by_h11(data)
    assert by_httptools(data) == found, data
    return found


@pytest.fixture(scope="module")
def own_ground(pki: Pki) -> Iterator[Ground]:
    """Its plan is changed, so it is nobody else's."""
    it = Ground.open(pki)
    yield it
    it.close()


def test_in_every_story_the_upstreams_hold_what_was_forwarded_and_nothing_else(own_ground: Ground) -> None:
    """H01 to H07, P04, T05, C03: the same few dozen stories each time; others, for longer, by `make fuzz`."""
    stories = type("Stories", (Stories,), {"ground": own_ground})
    common = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck), "print_blob": True}
    short = settings(max_examples=20, stateful_step_count=20, derandomize=True, **common)  # type: ignore[arg-type]
    run_state_machine_as_test(stories, settings=short)
    longer = settings(max_examples=50, stateful_step_count=50, **common)  # type: ignore[arg-type]
    end = time.monotonic() + MINUTES * 60
    while time.monotonic() < end:
        run_state_machine_as_test(stories, settings=longer)

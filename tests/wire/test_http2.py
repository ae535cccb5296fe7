"""HTTP/2 with clients and with backends; gRPC from end to end."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import h2.config
import h2.connection
import h2.events
import pytest

from everyhop.demo.backends import Backend
from tests.kit import EdgeKit, Pki, Raw, tls
from tests.kit.grpc_peer import SERVICE, channel, server
from tests.kit.h2_backend import Asked, H2Backend, Spoken
from tests.kit.raw import OK, Record, answering, whole
from tests.kit.settle import settle

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]


def route(port: int, more: str = "", name: str = "r", tls_: str = "plaintext") -> str:
    return f'[[route]]\nname = "{name}"\nhost = "a.test"\ntls = "{tls_}"\nto = ["127.0.0.1:{port}"]\n{more}\n'


GRPC = (
    'verify = { ca = "{pki}/internal-ca.pem", name = "backend.internal" }\npresent = "edge"\nupstream_protocol = "h2"\n'
)


class Speaker:
    """An HTTP/2 client that sends what it is told to, by the `h2` library without its own checks."""

    def __init__(self, it: EdgeKit, pki: Pki) -> None:
        self.sock = tls(it.port, "a.test", pki.public.file, alpn=["h2"])
        assert self.sock.selected_alpn_protocol() == "h2"
        config = h2.config.H2Configuration(
            client_side=True, validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()
        self.flush()

    def flush(self) -> None:
        self.sock.sendall(self.h2.data_to_send())

    def headers(
        self, *more: tuple[str, str], method: str = "GET", path: str = "/", end: bool = True, authority: str = "a.test"
    ) -> int:
        stream = self.h2.get_next_available_stream_id()
        pseudo = [(":method", method), (":path", path), (":scheme", "https"), (":authority", authority)]
        self.h2.send_headers(stream, [*pseudo, *more], end_stream=end)
        self.flush()
        return stream

    def events(self) -> Iterator[h2.events.Event]:
        while data := self.sock.recv(65536):
            yield from self.h2.receive_data(data)
            self.flush()

    def outcome(self, stream: int) -> str:
        """The status of `stream`, or `reset`, or `gone`."""
        for event in self.events():
            if isinstance(event, h2.events.ResponseReceived) and event.stream_id == stream:
                return dict(event.headers)[b":status"].decode()
            if isinstance(event, h2.events.StreamReset) and event.stream_id == stream:
                return "reset"
            if isinstance(event, h2.events.ConnectionTerminated):
                return "gone"
        return "gone"

    def __enter__(self) -> Speaker:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()


def curl(it: EdgeKit, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [
        "curl",
        "-sS",
        "--max-time",
        "20",
        "--cacert",
        str(it.pki.public.file),
        "--resolve",
        f"a.test:{it.port}:127.0.0.1",
        *arguments,
    ]
    return subprocess.run(command, capture_output=True, timeout=30, check=False)


def test_curl_speaks_http2_to_an_http1_backend(edge: Edges, tmp_path: Any) -> None:
    backend = Backend("b")
    it = edge(route(backend.port))
    body = tmp_path / "body"
    body.write_bytes(os.urandom(500_000))
    done = curl(
        it,
        "--http2",
        "-w",
        "%{http_version} %{http_code}",
        "--data-binary",
        f"@{body}",
        "-H",
        "Cookie: a=1",
        f"https://a.test:{it.port}/up?q=1",
    )
    assert done.stdout.endswith(b"2 200"), done
    assert b"body: 500000 bytes" in done.stdout
    assert backend.seen[-1]["cookie"] == "a=1" and backend.seen[-1]["x-forwarded-proto"] == "https"
    line = it.line(lambda x: x["route"] == "r")
    assert line["protocol"] == "h2" and line["path"] == "/up" and line["bytes_in"] == 500_000
    backend.close()


def test_large_answers_stream_with_back_pressure(edge: Edges, raw: Raws) -> None:
    big = os.urandom(3_000_000)
    backend = raw(answering(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(big), big)))
    it = edge(route(backend.port))
    for version in ("--http1.1", "--http2"):
        assert curl(it, version, f"https://a.test:{it.port}/").stdout == big


def test_many_streams_share_a_connection(edge: Edges, raw: Raws) -> None:
    backend = raw(answering(OK))
    it = edge(route(backend.port), threads=2)
    command = [
        "h2load",
        "-n",
        "2000",
        "-c",
        "4",
        "-m",
        "20",
        "--connect-to",
        f"127.0.0.1:{it.port}",
        f"https://a.test:{it.port}/",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "2000 succeeded, 0 failed" in done.stdout, done.stdout
    assert "Application protocol: h2" in done.stdout


MALFORMED = [
    ("upper-case", [("Bad", "x")]),
    ("te", [("te", "gzip")]),
    ("connection", [("connection", "close")]),
    ("transfer-encoding", [("transfer-encoding", "chunked")]),
    ("newline-in-value", [("a", "b\r\nc: d")]),
    ("space-in-name", [("a b", "x")]),
    ("late-pseudo", [("a", "b"), (":path", "/x")]),
    ("length-that-lies", [("content-length", "5")]),
    ("two-hosts", [("host", "b.test")]),
]


@pytest.mark.parametrize("more", [m for _, m in MALFORMED], ids=[n for n, _ in MALFORMED])
def test_what_http2_forbids_never_reaches_the_backend(
    edge: Edges, raw: Raws, pki: Pki, more: list[tuple[str, str]]
) -> None:
    """P04."""
    backend = raw(answering(OK))
    it = edge(route(backend.port))
    with Speaker(it, pki) as speaker:
        assert speaker.outcome(speaker.headers(*more)) in {"400", "reset", "gone"}
    settle(it, backend)
    assert backend.received == b""
    with Speaker(it, pki) as speaker:
        assert speaker.outcome(speaker.headers()) == "200"


SAID = {
    "upper-case": ("request/bad-fields", "upper case"),
    "te": ("request/bad-fields", "TE is not"),
    "connection": ("request/bad-fields", "of HTTP/1.1's connections"),
    "transfer-encoding": ("request/bad-fields", "of HTTP/1.1's connections"),
    "newline-in-value": ("request/bad-fields", "control character"),
    "space-in-name": ("request/bad-fields", "no token"),
    "late-pseudo": ("request/http2-broken", "behind a field"),
    "length-that-lies": ("request/http2-broken", "not as long as it was declared"),
    "two-hosts": ("request/bad-host", ""),
}


@pytest.mark.parametrize("name", SAID)
def test_what_http2_forbids_leaves_one_line_that_says_what_it_was(edge: Edges, raw: Raws, pki: Pki, name: str) -> None:
    """Its client learns the number of an error; whoever is asked why must find more."""
    it = edge(route(raw(answering(OK)).port))
    with Speaker(it, pki) as speaker:
        outcome = speaker.outcome(speaker.headers(*dict(MALFORMED)[name]))
        assert speaker.outcome(speaker.headers()) == "200", "the connection goes on"
    it.line(lambda x: x["end"] == "done")
    (line,) = [x for x in it.lines() if x["end"] != "done"]
    end, detail = SAID[name]
    assert (line["end"], line["protocol"]) == (end, "h2")
    assert line["status"] == (None if outcome == "reset" else 400) and detail in (line["detail"] or "")


def test_a_head_that_is_too_long_leaves_a_line_with_its_answer(edge: Edges, raw: Raws, pki: Pki) -> None:
    it = edge(route(raw(answering(OK)).port))
    with Speaker(it, pki) as speaker:
        assert speaker.outcome(speaker.headers(*((f"x-{n}", "v" * 8000) for n in range(9)))) == "431"
    line = it.line(lambda x: x["status"] == 431)
    assert (line["end"], line["protocol"], line["path"]) == ("request/too-many-fields", "h2", None)
    assert line["detail"] == "its head is longer than limits.h2_header_list_bytes"


def test_a_request_that_is_broken_behind_its_head_leaves_no_second_line(edge: Edges, raw: Raws, pki: Pki) -> None:
    def at_its_end(sock: socket.socket, record: Record) -> None:
        """Who answers a head at once may be quicker than what is behind it."""
        while whole(sock, record) is not None:
            sock.sendall(OK)

    it = edge(route(raw(at_its_end).port))
    with Speaker(it, pki) as speaker:
        stream = speaker.headers(("content-length", "5"), method="POST", end=False)
        speaker.h2.send_data(stream, b"more than five", end_stream=True)
        speaker.flush()
        assert speaker.outcome(stream) in {"400", "reset"}
        assert speaker.outcome(speaker.headers()) == "200"
    it.line(lambda x: x["end"] == "done")
    (line,) = [x for x in it.lines() if x["end"] != "done"]
    assert (line["method"], line["protocol"]) == ("POST", "h2")


@pytest.mark.parametrize(
    ("path", "authority", "status"),
    [
        ("/../x", "a.test", "400"),
        ("/", "b.test", "404"),
        ("/", "nowhere.test", "421"),
        ("/a/..%2f../b", "a.test", "400"),
    ],
)
def test_the_same_rules_hold_as_for_http1(
    edge: Edges, raw: Raws, pki: Pki, path: str, authority: str, status: str
) -> None:
    it = edge(route(raw(answering(OK)).port))
    with Speaker(it, pki) as speaker:
        assert speaker.outcome(speaker.headers(path=path, authority=authority)) == status
        assert speaker.outcome(speaker.headers()) == "200", "the connection goes on"


def test_too_many_fields_are_refused(edge: Edges, raw: Raws, pki: Pki) -> None:
    """P03."""
    it = edge(route(raw(answering(OK)).port))
    with Speaker(it, pki) as speaker:
        crumbs = [("cookie", f"a{i}=b") for i in range(129)]
        assert speaker.outcome(speaker.headers(*crumbs)) == "431"


def test_resetting_streams_without_end_closes_the_connection(edge: Edges, raw: Raws, pki: Pki) -> None:
    """P01."""
    it = edge(route(raw(answering(OK)).port))
    with Speaker(it, pki) as speaker, pytest.raises((OSError, h2.exceptions.ProtocolError)):
        for _ in range(3000):
            stream = speaker.headers(end=False)
            speaker.h2.reset_stream(stream)
            speaker.flush()
        speaker.sock.settimeout(5)
        for event in speaker.events():
            if isinstance(event, h2.events.ConnectionTerminated):
                raise OSError("GOAWAY")
    with Speaker(it, pki) as speaker:
        assert speaker.outcome(speaker.headers()) == "200"


@pytest.fixture
def calls(edge: Edges, pki: Pki) -> Iterator[tuple[Any, EdgeKit]]:
    peer, port = server(pki.backend, pki.internal.file)
    it = edge(route(port, GRPC, tls_="mutual"))
    with channel(it.port, "a.test", pki.public.file) as opened:
        yield opened, it
    peer.stop(0)


def test_grpc_calls_pass_with_trailers(calls: tuple[Any, EdgeKit]) -> None:
    """P05."""
    opened, it = calls
    answer, call = opened.unary_unary(f"/{SERVICE}/One").with_call(b"hello", timeout=20)
    assert answer == b"HELLO"
    assert ("x-trailer", "yes") in [(k, v) for k, v in call.trailing_metadata()]
    line = it.line(lambda x: x["route"] == "r")
    assert (
        line["protocol"] == "h2"
        and line["backend_hop"]["alpn"] == "h2"
        and line["backend_hop"]["identity"] == "demanded"
    )


def test_grpc_streams_both_ways(calls: tuple[Any, EdgeKit]) -> None:
    opened, _ = calls
    assert b"".join(opened.unary_stream(f"/{SERVICE}/Many")(b"abcdef", timeout=20)) == b"abcdef"
    sent = [os.urandom(30_000) for _ in range(20)]
    assert list(opened.stream_stream(f"/{SERVICE}/Talk")(iter(sent), timeout=20)) == sent


def test_a_grpc_status_is_kept(calls: tuple[Any, EdgeKit]) -> None:
    opened, _ = calls
    with pytest.raises(grpc.RpcError) as caught:
        opened.unary_unary(f"/{SERVICE}/Fail")(b"", timeout=20)
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert "not like this" in caught.value.details()


def status_of(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()


def test_what_the_edge_itself_refuses_is_a_status_of_grpc_where_that_is_spoken(
    edge: Edges, raw: Raws, pki: Pki
) -> None:
    """P05."""
    gone = raw(answering(OK))
    gone.close()
    more = 'path = "/pkg.Gone"\nupstream_protocol = "h2"\n'
    it = edge(route(gone.port, more))
    with channel(it.port, "a.test", pki.public.file) as opened:
        code, details = status_of(lambda: opened.unary_unary("/pkg.Gone/One")(b"", timeout=20))
        assert code == grpc.StatusCode.UNAVAILABLE and "hop/connect-failed" in details
        code, details = status_of(lambda: opened.unary_unary("/pkg.None/One")(b"", timeout=20))
        assert code == grpc.StatusCode.UNIMPLEMENTED and "request/not-found" in details
    # Whoever does not speak it reads a status of HTTP.
    web = ("-H", "te: trailers", "-H", "content-type: application/grpc-web+proto")
    for other in ((), web):
        done = curl(it, "--http2", *other, "-w", "%{http_code}", f"https://a.test:{it.port}/pkg.None/One")
        assert done.stdout.endswith(b"404"), other
    assert it.line(lambda x: x["end"] == "hop/connect-failed")["status"] == 502
    assert it.line(lambda x: x["end"] == "request/not-found")["status"] == 404


def test_a_call_that_was_cut_is_unavailable(edge: Edges, raw: Raws, pki: Pki) -> None:
    """P05. Its backend is gone in the middle of an answer."""

    def on(spoken: Spoken, asked: Asked, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.StreamEnded):
            spoken.h2.send_headers(asked.stream, [(b":status", b"200"), (b"content-type", b"application/grpc")])
            spoken.h2.send_data(asked.stream, b"\0\0\0\0\1a")
            spoken.sock.sendall(spoken.h2.data_to_send())
            spoken.sock.shutdown(socket.SHUT_RDWR)

    it = edge(route(raw(H2Backend(on)).port, 'upstream_protocol = "h2"\n'))
    with channel(it.port, "a.test", pki.public.file) as opened:
        answers = opened.unary_stream("/pkg.Echo/Many")(b"", timeout=20)
        assert next(answers) == b"a"
        code, _ = status_of(lambda: next(answers))
    assert code == grpc.StatusCode.UNAVAILABLE
    assert it.line(lambda x: x["status"] == 200)["end"] == "hop/truncated"


def test_a_stream_without_a_message_is_ended_as_the_client_ended_it(edge: Edges, raw: Raws, pki: Pki) -> None:
    """F02. By an empty frame of DATA, which gRPC demands and for which its servers wait, or by the head itself."""
    ended = []

    def on(spoken: Spoken, asked: Asked, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            ended.append("head" if event.stream_ended else "data")
        if isinstance(event, h2.events.StreamEnded):
            spoken.answer(asked.stream)

    it = edge(route(raw(H2Backend(on)).port, 'upstream_protocol = "h2"\n'))
    head = [(":method", "POST"), (":path", "/"), (":scheme", "https"), (":authority", "a.test"), ("te", "trailers")]
    with Speaker(it, pki) as client:
        for by in ("data", "head") * 3:
            stream = client.h2.get_next_available_stream_id()
            client.h2.send_headers(stream, head, end_stream=by == "head")
            if by == "data":
                client.h2.end_stream(stream)
            client.flush()
            assert client.outcome(stream) == "200"
    assert ended == ["data", "head"] * 3


def test_a_backend_without_http2_is_a_bad_gateway(edge: Edges, raw: Raws, pki: Pki) -> None:
    backend = raw(answering(OK), pki.backend)
    it = edge(route(backend.port, GRPC.replace('present = "edge"\n', ""), tls_="reencrypt"))
    done = curl(it, "--http2", "-w", "%{http_code}", f"https://a.test:{it.port}/")
    assert done.stdout.endswith(b"502") and b"hop/h2-not-offered" in done.stdout
    settle(it, backend)
    assert backend.received == b""


def test_metrics_count_what_happened(edge: Edges, raw: Raws) -> None:
    it = edge(route(raw(answering(OK)).port), listener="", more="")
    for _ in range(3):
        assert curl(it, "--http2", f"https://a.test:{it.port}/").stdout == b"ok"
    status = it.status()
    assert status["routes"][0]["requests"] == 3
    assert json.dumps(status)
    assert re.fullmatch("[0-9a-f]{64}", status["plan_digest"])

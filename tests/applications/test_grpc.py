"""gRPC by grpcio and by grpc-go, servers and clients of each, every kind of call through each pattern. Messages are bytes: no
generated code. The server of grpc-go ends its connections all the time, as `MaxConnectionAge` has it, and no test may notice.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.applications import peer
from tests.applications.catalogue import PATTERNS
from tests.applications.lab import SITE, application_leaf, routes
from tests.applications.peer import Peer
from tests.kit import EdgeKit, Pki
from tests.kit.grpc_peer import SERVICE, Echo, channel

SERVERS = ("grpcio", "grpc-go")
AGE = "300ms"
"""How long the server of grpc-go keeps a connection before it ends it with GOAWAY; calls under way may end."""


def field(number: int, value: bytes) -> bytes:
    """A field of protobuf with bytes in it."""
    length = bytes([len(value)]) if len(value) < 128 else bytes([len(value) & 127 | 128, len(value) >> 7])
    return bytes([number << 3 | 2]) + length + value


REFUSED = "größer als erlaubt: 100 %"
VIOLATION = field(1, "größe".encode()) + field(2, b"too large; " * 200)
DETAILS = b"\x08\x03" + field(2, REFUSED.encode())
DETAILS += field(3, field(1, b"type.googleapis.com/google.rpc.BadRequest") + field(2, field(1, VIOLATION)))
"""A google.rpc.Status, serialised. grpcio itself rolls dice on trailers of more than 8 KiB."""


class Service(Echo):
    """Echo, and: Join joins what is streamed to it, Details fails with details, Back gives metadata back, Wait answers nobody
    and Cancelled answers once somebody gave that up."""

    def __init__(self) -> None:
        self.cancelled = threading.Semaphore(0)

    def service(self, details: Any) -> Any:
        name = details.method.rpartition("/")[2]
        if name == "Join":
            return grpc.stream_unary_rpc_method_handler(lambda messages, _: b",".join(messages))
        handlers = {"Details": self.details, "Wait": self.wait, "Cancelled": self.told, "Back": self.back}
        if name in handlers:
            return grpc.unary_unary_rpc_method_handler(handlers[name])
        return super().service(details)

    def details(self, _: bytes, context: Any) -> bytes:
        context.set_trailing_metadata((("grpc-status-details-bin", DETAILS), ("x-request-id", "mine")))
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, REFUSED)
        return b""

    def wait(self, _: bytes, context: Any) -> bytes:
        ended = threading.Event()
        context.add_callback(ended.set)
        if ended.wait(60):
            self.cancelled.release()
        return b""

    def told(self, _: bytes, context: Any) -> bytes:
        if not self.cancelled.acquire(timeout=30):
            context.abort(grpc.StatusCode.ABORTED, "nobody gave up")
        return b""

    def back(self, _: bytes, context: Any) -> bytes:
        sent = tuple((k, v) for k, v in context.invocation_metadata() if k.startswith("x-mine"))
        context.send_initial_metadata(sent)
        context.set_trailing_metadata(sent)
        return b"ok"


@pytest.fixture(scope="module")
def served(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, int]]]:
    """The ports of both servers."""
    leaf = application_leaf(pki)
    it = grpc.server(ThreadPoolExecutor(16), handlers=(Service(),))
    pair = [(leaf.key.read_bytes(), leaf.chain.read_bytes())]
    mutual = grpc.ssl_server_credentials(pair, pki.internal.file.read_bytes(), require_client_auth=True)
    ports = {
        "plain": it.add_insecure_port("127.0.0.1:0"),
        "tls": it.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials(pair)),
        "mutual": it.add_secure_port("127.0.0.1:0", mutual),
    }
    it.start()
    go = Peer(peer.go("grpc", leaf.chain, leaf.key, pki.internal.file, AGE), tmp_path_factory.mktemp("grpc"))
    yield {"grpcio": ports, "grpc-go": go.read()["ports"]}
    go.close()
    it.stop(None).wait()


@pytest.fixture(scope="module")
def front(pki: Pki, served: dict[str, dict[str, int]]) -> Iterator[EdgeKit]:
    text = "".join(routes(name, served[name], behind="h2", patterns=PATTERNS) for name in SERVERS)
    it = EdgeKit(pki, SITE + text, threads=2)
    yield it
    it.close()


@pytest.fixture(params=[f"{server}.{pattern}" for server in SERVERS for pattern in PATTERNS])
def calls(front: EdgeKit, pki: Pki, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A channel of grpcio to each server through each pattern."""
    with channel(front.port, f"{request.param}.test", pki.public.file) as it:
        yield it


class Go:
    """A client of grpc-go that calls one server through one pattern."""

    def __init__(self, it: Peer, port: int, at: str) -> None:
        self.it, self.job = it, {"name": f"{at}.test", "port": port}

    def __call__(self, do: str, **job: Any) -> dict[str, Any]:
        found = self.it.do({"do": do, **self.job, **job})
        assert "failed" not in found, f"{do} {job}: {found['failed']}"
        return found


@pytest.fixture(scope="module")
def gopher(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    folder: Path = tmp_path_factory.mktemp("calls")
    it = Peer(peer.go("calls", pki.public.file), folder)
    it.read()
    yield it
    it.close()


@pytest.fixture(params=[f"{server}.{pattern}" for server in SERVERS for pattern in PATTERNS])
def go(front: EdgeKit, gopher: Peer, request: pytest.FixtureRequest) -> Go:
    return Go(gopher, front.port, request.param)


def method(calls: Any, kind: str, name: str) -> Any:
    return getattr(calls, kind)(f"/{SERVICE}/{name}")


def test_a_call_of_one_message_each_also_an_empty_or_a_large_one(calls: Any) -> None:
    """F02."""
    one = method(calls, "unary_unary", "One")
    for message in (b"", b"a", b"abc" * 1_000_000):
        assert one(message, timeout=30) == message.upper()


def test_a_stream_of_messages_is_joined_also_one_without_any(calls: Any) -> None:
    """F02."""
    join = method(calls, "stream_unary", "Join")
    assert join(iter([]), timeout=30) == b""
    assert join(iter([b"", b""]), timeout=30) == b","
    assert join(iter([b"a", b"b", b"c" * 100_000]), timeout=30) == b"a,b," + b"c" * 100_000


def test_an_answer_of_many_messages_also_of_none(calls: Any) -> None:
    many = method(calls, "unary_stream", "Many")
    assert list(many(b"", timeout=30)) == []
    assert list(many(b"abc" * 100, timeout=30)) == [b"a", b"b", b"c"] * 100


def test_both_sides_talk_in_turns(calls: Any) -> None:
    """F02: each message is answered before the next one is sent."""
    said: queue.Queue[bytes | None] = queue.Queue()
    answers = method(calls, "stream_stream", "Talk")(iter(said.get, None), timeout=30)
    for message in (b"one", b"", b"three" * 50_000):
        said.put(message)
        assert next(answers) == message
    said.put(None)
    assert list(answers) == []
    assert list(method(calls, "stream_stream", "Talk")(iter([]), timeout=30)) == []


def test_an_error_arrives_with_its_details(calls: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        method(calls, "unary_unary", "Details")(b"", timeout=30)
    error: Any = caught.value
    assert (error.code(), error.details()) == (grpc.StatusCode.INVALID_ARGUMENT, REFUSED)
    trailing = dict(error.trailing_metadata())
    assert (trailing["grpc-status-details-bin"], trailing["x-request-id"]) == (DETAILS, "mine")


def test_metadata_of_both_kinds_goes_there_and_back(calls: Any) -> None:
    sent = (("x-mine", "text"), ("x-mine-bin", bytes(range(256))))
    answer, call = method(calls, "unary_unary", "Back").with_call(b"", timeout=30, metadata=sent)
    assert answer == b"ok"
    for came in (dict(call.initial_metadata()), dict(call.trailing_metadata())):
        assert {name: came[name] for name, _ in sent} == dict(sent)


def test_a_deadline_ends_the_call_on_both_sides(calls: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        method(calls, "unary_unary", "Wait")(b"", timeout=0.5)
    error: Any = caught.value
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert method(calls, "unary_unary", "Cancelled")(b"", timeout=30) == b"", "the server never heard of it"


def test_calls_of_one_channel_do_not_wait_for_each_other(calls: Any) -> None:
    said: queue.Queue[bytes | None] = queue.Queue()
    answers = method(calls, "stream_stream", "Talk")(iter(said.get, None), timeout=60)
    said.put(b"first")
    assert next(answers) == b"first"
    one = method(calls, "unary_unary", "One")
    under_way = [one.future(b"%d" % n, timeout=30) for n in range(50)]
    assert [call.result() for call in under_way] == [b"%d" % n for n in range(50)]
    said.put(None)
    assert list(answers) == []


def test_a_client_of_grpc_go_makes_every_kind_of_call(go: Go) -> None:
    """F02. Messages of none, of few and of many bytes; `talk` has each answered before the next."""
    sizes = [0, 1, 3_000_000]
    assert go("one", sizes=sizes) == {"sizes": sizes}
    assert go("join", sizes=[]) == {"sizes": [0]}
    assert go("join", sizes=[0, 1, 100_000]) == {"sizes": [100_003]}
    assert go("many", sizes=[0]) == {"sizes": []}
    assert go("many", sizes=[300]) == {"sizes": [1] * 300}
    assert go("talk", sizes=[]) == {"sizes": []}
    assert go("talk", sizes=[3, 0, 150_000]) == {"sizes": [3, 0, 150_000]}


def test_a_client_of_grpc_go_gets_errors_with_details_and_metadata_of_both_kinds(go: Go) -> None:
    details = {"code": "InvalidArgument", "message": REFUSED, "details": ["größe", "2200"], "trailer": ["mine"]}
    assert go("details") == details
    assert go("back") == {"same": True, "said": "ok"}


def test_a_deadline_of_grpc_go_ends_the_call_on_both_sides(go: Go) -> None:
    assert go("deadline") == {"code": "DeadlineExceeded"}
    assert go("Cancelled") == {"said": ""}, "the server never heard of it"


@pytest.mark.parametrize("pattern", PATTERNS)
def test_no_call_of_thousands_is_lost_while_a_server_of_grpc_go_ends_its_connections(
    front: EdgeKit, gopher: Peer, pattern: str
) -> None:
    """F03. Sixteen at a time, for as long as several of its connections live; a call that is under way at their end comes to its own."""
    go = Go(gopher, front.port, f"grpc-go.{pattern}")
    before = int(go("Connections")["said"])
    found = go("storm", calls=3000, workers=16, atLeast=1500)
    assert found == {"calls": found["calls"], "right": found["calls"], "error": ""} and found["calls"] >= 3000
    assert int(go("Connections")["said"]) - before >= 3


def test_no_call_of_grpcio_is_lost_while_a_server_of_grpc_go_ends_its_connections(calls: Any) -> None:
    """F03."""
    one = method(calls, "unary_unary", "One")
    with ThreadPoolExecutor(8) as several:
        came = [*several.map(lambda number: one(b"call %d" % number, timeout=60), range(500))]
    assert came == [b"CALL %d" % number for number in range(500)]

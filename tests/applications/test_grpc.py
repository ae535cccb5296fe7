"""gRPC by grpcio, every kind of call through each pattern. Messages are bytes: no generated code."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from tests.applications.catalogue import PATTERNS
from tests.applications.lab import SITE, application_leaf, routes
from tests.kit import EdgeKit, Pki
from tests.kit.grpc_peer import SERVICE, Echo, channel

DETAILS = bytes(range(256)) * 16
"""As google.rpc.Status would be, serialised. grpcio itself rolls dice on trailers of more than 8 KiB."""


class Service(Echo):
    """Echo, and: Join joins what is streamed to it, Details fails with details, Wait answers nobody, Back gives metadata back."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()

    def service(self, details: Any) -> Any:
        name = details.method.rpartition("/")[2]
        if name == "Join":
            return grpc.stream_unary_rpc_method_handler(lambda messages, _: b",".join(messages))
        handlers = {"Details": self.details, "Wait": self.wait, "Back": self.back}
        if name in handlers:
            return grpc.unary_unary_rpc_method_handler(handlers[name])
        return super().service(details)

    def details(self, _: bytes, context: Any) -> bytes:
        context.set_trailing_metadata((("grpc-status-details-bin", DETAILS), ("x-request-id", "mine")))
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "größer als erlaubt: 100 %")
        return b""

    def wait(self, _: bytes, context: Any) -> bytes:
        context.add_callback(self.cancelled.set)
        self.cancelled.wait(60)
        return b""

    def back(self, _: bytes, context: Any) -> bytes:
        sent = tuple((k, v) for k, v in context.invocation_metadata() if k.startswith("x-mine"))
        context.send_initial_metadata(sent)
        context.set_trailing_metadata(sent)
        return b"ok"


@pytest.fixture(scope="module")
def served(pki: Pki) -> Iterator[tuple[Service, dict[str, int]]]:
    leaf, service = application_leaf(pki), Service()
    it = grpc.server(ThreadPoolExecutor(16), handlers=(service,))
    pair = [(leaf.key.read_bytes(), leaf.chain.read_bytes())]
    mutual = grpc.ssl_server_credentials(pair, pki.internal.file.read_bytes(), require_client_auth=True)
    ports = {
        "plain": it.add_insecure_port("127.0.0.1:0"),
        "tls": it.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials(pair)),
        "mutual": it.add_secure_port("127.0.0.1:0", mutual),
    }
    it.start()
    yield service, ports
    it.stop(None).wait()


@pytest.fixture(scope="module")
def front(pki: Pki, served: tuple[Service, dict[str, int]]) -> Iterator[EdgeKit]:
    it = EdgeKit(pki, SITE + routes("grpc", served[1], behind="h2", patterns=PATTERNS), threads=2)
    yield it
    it.close()


@pytest.fixture(params=PATTERNS)
def calls(front: EdgeKit, pki: Pki, request: pytest.FixtureRequest) -> Iterator[Any]:
    with channel(front.port, f"grpc.{request.param}.test", pki.public.file) as it:
        yield it


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
    assert (error.code(), error.details()) == (grpc.StatusCode.INVALID_ARGUMENT, "größer als erlaubt: 100 %")
    trailing = dict(error.trailing_metadata())
    assert (trailing["grpc-status-details-bin"], trailing["x-request-id"]) == (DETAILS, "mine")


def test_metadata_of_both_kinds_goes_there_and_back(calls: Any) -> None:
    sent = (("x-mine", "text"), ("x-mine-bin", bytes(range(256))))
    answer, call = method(calls, "unary_unary", "Back").with_call(b"", timeout=30, metadata=sent)
    assert answer == b"ok"
    for came in (dict(call.initial_metadata()), dict(call.trailing_metadata())):
        assert {name: came[name] for name, _ in sent} == dict(sent)


def test_a_deadline_ends_the_call_on_both_sides(calls: Any, served: tuple[Service, dict[str, int]]) -> None:
    service, _ = served
    service.cancelled.clear()
    with pytest.raises(grpc.RpcError) as caught:
        method(calls, "unary_unary", "Wait")(b"", timeout=0.5)
    error: Any = caught.value
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert service.cancelled.wait(30), "the server never heard of it"


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

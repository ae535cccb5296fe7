"""An upgrade among calls of gRPC: none is refused, and a stream ends in the engine that it began in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from tests.kit import EdgeKit, Pki
from tests.kit.edge import until
from tests.kit.grpc_peer import SERVICE, Echo
from tests.wire.test_upgrade import Asking, hello, retired

Edges = Callable[..., EdgeKit]

ROUTE = """\
[[route]]
name = "calls"
host = "b.test"
tls = "reencrypt"
upstream_protocol = "h2"
to = ["127.0.0.1:{port}"]
verify = {{ ca = "{{pki}}/internal-ca.pem", name = "backend.internal" }}
"""


class Held(Echo):
    """Many: the first letter at once, the others when they may go."""

    def __init__(self) -> None:
        self.may_go = threading.Event()

    def many(self, request: bytes, _: Any) -> Iterator[bytes]:
        yield request[:1]
        assert self.may_go.wait(60)
        for letter in request[1:]:
            yield bytes([letter])


def alone(it: EdgeKit, pki: Pki) -> Any:
    """A connection of its own: channels that are alike share one."""
    options = (
        ("grpc.ssl_target_name_override", "b.test"),
        ("grpc.default_authority", "b.test"),
        ("grpc.use_local_subchannel_pool", 1),
    )
    return grpc.secure_channel(
        f"127.0.0.1:{it.port}", grpc.ssl_channel_credentials(pki.public.file.read_bytes()), options
    )


def test_upgrades_refuse_no_call_and_streams_of_before_end_in_the_engine_that_they_began_in(
    edge: Edges, pki: Pki
) -> None:
    """F06."""
    script = Held()
    server = grpc.server(ThreadPoolExecutor(16), handlers=(script,))
    leaf = pki.backend
    port = server.add_secure_port(
        "127.0.0.1:0", grpc.ssl_server_credentials([(leaf.key.read_bytes(), leaf.chain.read_bytes())])
    )
    server.start()
    it = edge(ROUTE.format(port=port), threads=2)
    kept = alone(it, pki)

    def unary(over: Any) -> None:
        assert over.unary_unary(f"/{SERVICE}/One")(b"call", timeout=30) == b"CALL"

    def anew() -> None:
        with alone(it, pki) as fresh:
            unary(fresh)

    load = [Asking(lambda: unary(kept)), Asking(anew)]
    engines, streams = [hello(it).pid], []
    try:
        for _ in range(2):
            stream = kept.unary_stream(f"/{SERVICE}/Many")(b"letters", timeout=120)
            assert next(stream) == b"l"
            streams.append(stream)
            assert it.admin("upgrade")["upgraded"]
            before = [a.done for a in load]
            engines.append(hello(it).pid)
            until(lambda before=before: all(a.done > b + 5 for a, b in zip(load, before, strict=True)) or None, 60)  # type: ignore[misc]
        assert len(set(engines)) == 3
        assert {at["pid"] for at in retired(it)} == set(engines[:2]), "each carries a stream"
        script.may_go.set()
        for stream in streams:
            assert list(stream) == [b"e", b"t", b"t", b"e", b"r", b"s"] and stream.code() == grpc.StatusCode.OK
    finally:
        script.may_go.set()
        for asking in load:
            asking.stop()
        kept.close()
        server.stop(None).wait(10)
    assert [a.lost for a in load] == [[], []]
    until(lambda: not retired(it) or None, 30, lambda: str(retired(it)))
    calls = it.all_lines()
    statuses = [line["status"] for line in calls if line["route"] == "calls"]
    assert len(statuses) >= sum(a.done for a in load) and set(statuses) == {200}

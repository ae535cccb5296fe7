"""A service of Envoy's rate limits, by grpcio: it records each RateLimitRequest, decoded by hand, and answers what a test tells it to. The
numbers are those of `envoy/service/ratelimit/v3/rls.proto` and `envoy/extensions/common/ratelimit/v3/ratelimit.proto`."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from everyhop.demo.certificates import Leaf
from tests.kit.ext_authz import fields, part, put

METHOD = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
MINUTE = 2


@dataclass
class Hit:
    """A RateLimitRequest."""

    domain: str = ""
    descriptors: list[list[tuple[str, str]]] = field(default_factory=list)
    addend: int = 0
    left_s: float | None = None
    """How long its caller waits."""

    @property
    def key(self) -> str:
        (((_, value),),) = self.descriptors
        return value


def read(message: bytes) -> Hit:
    it = Hit()
    for number, value in fields(message):
        if number == 1:
            it.domain = part(value).decode()
        elif number == 2:
            it.descriptors.append([entry(part(inner)) for at, inner in fields(part(value)) if at == 1])
            assert [at for at, _ in fields(part(value))] == [1] * len(it.descriptors[-1])
        else:
            assert number == 3 and isinstance(value, int)
            it.addend = value
    return it


def entry(message: bytes) -> tuple[str, str]:
    both = dict(fields(message))
    assert sorted(both) == [1, 2]
    return part(both[1]).decode(), part(both[2]).decode()


def says(code: int, *statuses: bytes) -> bytes:
    return put(1, code) + b"".join(put(2, it) for it in statuses)


def status(code: int, per: tuple[int, int] | None = None, left: int = 0, after: tuple[int, int] | None = None) -> bytes:
    """A DescriptorStatus. `per`: so many of a unit; `after`: seconds and nanoseconds."""
    out = put(1, code)
    out += b"" if per is None else put(2, put(1, per[0]) + put(2, per[1]))
    out += put(3, left)
    return out + (b"" if after is None else put(4, put(1, after[0]) + put(2, after[1])))


OK, OVER = says(1, status(1, (100, MINUTE), 99)), says(2, status(2, (7, MINUTE), 0, (42, 1)))
Says = Callable[[Hit], bytes | grpc.StatusCode]


class Limits(grpc.GenericRpcHandler):
    """Each hit is kept, and answered by `says`: a RateLimitResponse, or the status that its call fails with."""

    def __init__(
        self, says: Says | bytes = OK, leaf: Leaf | None = None, clients: Path | None = None, port: int = 0
    ) -> None:
        self.says: Says = says if callable(says) else lambda _: says
        self.hits: list[Hit] = []
        self.server = grpc.server(ThreadPoolExecutor(16), handlers=(self,), options=[("grpc.so_reuseport", 0)])
        at = f"127.0.0.1:{port}"
        if leaf is None:
            self.port = self.server.add_insecure_port(at)
        else:
            pair = (leaf.key.read_bytes(), leaf.chain.read_bytes())
            roots = None if clients is None else clients.read_bytes()
            credentials = grpc.ssl_server_credentials([pair], roots, require_client_auth=clients is not None)
            self.port = self.server.add_secure_port(at, credentials)
        self.server.start()

    def service(self, details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(self.hit) if details.method == METHOD else None

    def hit(self, message: bytes, context: Any) -> bytes:
        it = read(message)
        it.left_s = context.time_remaining()
        self.hits.append(it)
        answer = self.says(it)
        if isinstance(answer, grpc.StatusCode):
            context.abort(answer, "on purpose")
        assert isinstance(answer, bytes)
        return answer

    def close(self) -> None:
        self.server.stop(None).wait(20)

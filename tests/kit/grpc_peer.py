"""A gRPC server and client by grpcio, without generated code: messages are bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc

from everyhop.demo.certificates import Leaf

SERVICE = "pkg.Echo"


class Echo(grpc.GenericRpcHandler):
    """One: answers in capitals. Many: streams each letter. Talk: echoes each message. Fail: ends with a status."""

    def service(self, details: Any) -> Any:
        name = details.method.rpartition("/")[2]
        if name == "One":
            return grpc.unary_unary_rpc_method_handler(self.one)
        if name == "Many":
            return grpc.unary_stream_rpc_method_handler(self.many)
        if name == "Talk":
            return grpc.stream_stream_rpc_method_handler(self.talk)
        if name == "Fail":
            return grpc.unary_unary_rpc_method_handler(self.fail)
        return None

    def one(self, request: bytes, context: Any) -> bytes:
        context.set_trailing_metadata((("x-trailer", "yes"),))
        return request.upper()

    def many(self, request: bytes, _: Any) -> Iterator[bytes]:
        for letter in request:
            yield bytes([letter])

    def talk(self, requests: Iterator[bytes], _: Any) -> Iterator[bytes]:
        yield from requests

    def fail(self, _: bytes, context: Any) -> bytes:
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not like this: " + "x" * 2000)
        return b""


def server(leaf: Leaf, clients: Path, options: Sequence[tuple[str, int]] = ()) -> tuple[Any, int]:
    """A server that demands a client certificate, and its port."""
    it = grpc.server(ThreadPoolExecutor(8), handlers=(Echo(),), options=options)
    credentials = grpc.ssl_server_credentials(
        [(leaf.key.read_bytes(), leaf.chain.read_bytes())], clients.read_bytes(), require_client_auth=True
    )
    port = it.add_secure_port("127.0.0.1:0", credentials)
    it.start()
    return it, port


def channel(port: int, name: str, ca: Path) -> Any:
    credentials = grpc.ssl_channel_credentials(ca.read_bytes())
    options = (("grpc.ssl_target_name_override", name), ("grpc.default_authority", name))
    return grpc.secure_channel(f"127.0.0.1:{port}", credentials, options)

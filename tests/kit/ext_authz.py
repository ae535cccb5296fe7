"""An authorizer as Envoy's ext_authz has them, by grpcio: it records each CheckRequest, decoded by hand, and answers what a test tells
it to. The numbers are those of `envoy/service/auth/v3/external_auth.proto` and `attribute_context.proto`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from everyhop.demo.certificates import Leaf

METHOD = "/envoy.service.auth.v3.Authorization/Check"


def varint(n: int) -> bytes:
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes([*out, n])


def put(number: int, value: int | bytes | str) -> bytes:
    """A field of a message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Those of a message, in their order; what is no message raises."""
    at = 0

    def number() -> int:
        nonlocal at
        out = shift = 0
        while True:
            byte = message[at]
            at, out, shift = at + 1, out | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80:
                return out

    while at < len(message):
        key = number()
        if key & 7 == 0:
            yield key >> 3, number()
            continue
        length = number() if key & 7 == 2 else {1: 8, 5: 4}[key & 7]
        assert at + length <= len(message), "cut short"
        yield key >> 3, message[at : at + length]
        at += length


@dataclass
class Peer:
    address: str = ""
    port: int = 0
    principal: str = ""
    certificate: str = ""


@dataclass
class Check:
    """A CheckRequest; `other`: the fields of any of its messages that have no place here, as (message, number)."""

    source: Peer = field(default_factory=Peer)
    destination: Peer = field(default_factory=Peer)
    id: str = ""
    method: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    path: str = ""
    host: str = ""
    scheme: str = ""
    query: str = ""
    protocol: str = ""
    body: bytes = b""
    other: set[tuple[str, int]] = field(default_factory=set)
    metadata: dict[str, str] = field(default_factory=dict)
    """Of the call."""
    left_s: float | None = None
    """How long its caller waits."""


def read(message: bytes) -> Check:
    it = Check()
    for number, value in fields(message):
        if number != 1:
            it.other.add(("CheckRequest", number))
            continue
        for at, inner in fields(part(value)):
            if at in (1, 2):
                peer(it, it.source if at == 1 else it.destination, part(inner))
            elif at == 4:
                request(it, part(inner))
            else:
                it.other.add(("AttributeContext", at))
    return it


def part(value: int | bytes) -> bytes:
    assert isinstance(value, bytes)
    return value


def peer(it: Check, into: Peer, message: bytes) -> None:
    for at, value in fields(message):
        if at == 1:
            for kind, address in fields(part(value)):
                assert kind == 1, "socket_address"
                for number, inner in fields(part(address)):
                    if number == 2:
                        into.address = part(inner).decode()
                    elif number == 3:
                        assert isinstance(inner, int)
                        into.port = inner
                    elif number != 1 or inner != 0:
                        it.other.add(("SocketAddress", number))
        elif at == 4:
            into.principal = part(value).decode()
        elif at == 5:
            into.certificate = part(value).decode()
        else:
            it.other.add(("Peer", at))


def request(it: Check, message: bytes) -> None:
    names = {1: "id", 2: "method", 4: "path", 5: "host", 6: "scheme", 7: "query", 10: "protocol"}
    for at, value in fields(message):
        if at != 2:
            it.other.add(("Request", at))
            continue
        for number, inner in fields(part(value)):
            if number in names:
                setattr(it, names[number], part(inner).decode())
            elif number == 3:
                pair = dict(fields(part(inner)))
                name = part(pair.get(1, b"")).decode()
                assert name not in it.headers
                it.headers[name] = part(pair.get(2, b"")).decode()
            elif number in (11, 12):
                it.body += part(inner)
            else:
                it.other.add(("HttpRequest", number))


def option(name: str, value: str | bytes, append: bool | None = None, action: int | None = None) -> bytes:
    """A HeaderValueOption."""
    header = put(1, name) + put(2 if isinstance(value, str) else 3, value)
    out = put(1, header)
    out += b"" if append is None else put(2, put(1, int(append)) if append else b"")
    return out + (b"" if action is None else put(3, action))


def yes(*says: bytes, removes: tuple[str, ...] = (), tells: tuple[bytes, ...] = (), more: bytes = b"") -> bytes:
    """A CheckResponse of OK; `says`: options for the request, `tells`: for the answer to the client."""
    out = b"".join([*(put(2, it) for it in says), *(put(5, it) for it in removes), *(put(6, it) for it in tells)])
    return put(1, b"") + put(3, out + more)


def no(status: int = 0, *says: bytes, body: str = "", code: int = 7) -> bytes:
    """A CheckResponse of no; `status`: of HTTP."""
    out = put(1, put(1, status)) if status else b""
    out += b"".join(put(2, it) for it in says) + (put(3, body) if body else b"")
    return put(1, put(1, code)) + put(2, out)


OK = put(1, b"")
Says = Callable[[Check], bytes | grpc.StatusCode]


class Authorizer(grpc.GenericRpcHandler):
    """Each check is kept, and answered by `says`: a CheckResponse, or the status that its call fails with."""

    def __init__(
        self, says: Says | bytes = OK, leaf: Leaf | None = None, clients: Path | None = None, compression: Any = None
    ) -> None:
        self.says: Says = says if callable(says) else lambda _: says
        self.checks: list[Check] = []
        self.methods: list[str] = []
        self.server = grpc.server(ThreadPoolExecutor(8), handlers=(self,), compression=compression)
        if leaf is None:
            self.port = self.server.add_insecure_port("127.0.0.1:0")
        else:
            pair = (leaf.key.read_bytes(), leaf.chain.read_bytes())
            roots = None if clients is None else clients.read_bytes()
            credentials = grpc.ssl_server_credentials([pair], roots, require_client_auth=clients is not None)
            self.port = self.server.add_secure_port("127.0.0.1:0", credentials)
        self.server.start()

    def service(self, details: Any) -> Any:
        self.methods.append(details.method)
        return grpc.unary_unary_rpc_method_handler(self.check) if details.method == METHOD else None

    def check(self, message: bytes, context: Any) -> bytes:
        it = read(message)
        it.metadata = dict(context.invocation_metadata())
        it.left_s = context.time_remaining()
        self.checks.append(it)
        says = self.says(it)
        if isinstance(says, grpc.StatusCode):
            context.abort(says, "on purpose")
        assert isinstance(says, bytes)
        return says

    def close(self) -> None:
        self.server.stop(None)

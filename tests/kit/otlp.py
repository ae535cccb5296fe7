"""A collector that takes OTLP by HTTP and writes down what came, read by the protocol's own classes (`opentelemetry-proto`): what
the edge writes by hand is judged by a reader that is not ours."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from everyhop.demo.backends import Backend
from everyhop.demo.certificates import Leaf
from tests.kit.edge import until

KINDS = {Span.SPAN_KIND_SERVER: "server", Span.SPAN_KIND_CLIENT: "client"}


def value(it: AnyValue) -> Any:
    kind = it.WhichOneof("value")
    assert kind is not None
    return [value(one) for one in it.array_value.values] if kind == "array_value" else getattr(it, kind)


@dataclass(frozen=True)
class Spanned:
    """A span as it came, with who says it."""

    kind: str
    name: str
    trace: str
    id: str
    parent: str
    state: str
    began_ns: int
    ended_ns: int
    failed: bool
    flags: int
    said: dict[str, Any]
    resource: dict[str, Any]


class Collector:
    """`status` and `fields` are what it answers from now on, `rejects` how many spans of a message it says that it leaves out;
    while `stalls` is set it takes a message and answers nothing."""

    def __init__(self, leaf: Leaf | None = None, clients: Path | None = None, *, demands: bool = True, port: int = 0):
        self.status, self.rejects = 200, 0
        self.fields: dict[str, str] = {}
        self.stalls = threading.Event()
        self.over = threading.Event()
        self.paths: list[str] = []
        self.callers: list[str] = []
        self.spans: list[Spanned] = []
        self.asked = 0
        asks = demands and clients is not None
        self.backend = Backend("collector", leaf, clients=clients, demands=asks, port=port, answer=self.take)
        self.port = self.backend.port

    def take(self, request: BaseHTTPRequestHandler, caller: str) -> None:
        body = request.rfile.read(int(request.headers["content-length"]))
        self.asked += 1
        while self.stalls.is_set() and not self.over.wait(0.02):
            pass
        if self.over.is_set():
            # Its connections end with it.
            request.close_connection = True
            return
        assert request.command == "POST" and request.headers["content-type"] == "application/x-protobuf"
        if self.status == 200:
            self.paths.append(request.path)
            self.callers.append(caller)
            self.spans += read(body)
        partial = ExportTracePartialSuccess(
            rejected_spans=self.rejects, error_message="told so" if self.rejects else ""
        )
        answer = ExportTraceServiceResponse(partial_success=partial).SerializeToString()
        request.send_response(self.status)
        request.send_header("content-type", "application/x-protobuf")
        request.send_header("content-length", str(len(answer)))
        for name, said in self.fields.items():
            request.send_header(name, said)
        request.end_headers()
        request.wfile.write(answer)

    def of(self, trace: str) -> list[Spanned]:
        return [span for span in self.spans if span.trace == trace]

    def whole(self, count: int, **said: object) -> list[Spanned]:
        """The spans of the trace whose request says that, once so many of them are there."""

        def found() -> list[Spanned] | None:
            of = [s for s in self.spans if s.kind == "server" and {**s.said, **said} == s.said]
            spans = [span for server in of[:1] for span in self.of(server.trace)]
            return sorted(spans, key=lambda s: (s.kind != "server", s.began_ns)) if len(spans) == count else None

        return until(found, 30, lambda: str(self.spans))

    def close(self) -> None:
        self.over.set()
        self.backend.close()


def read(body: bytes) -> list[Spanned]:
    it = ExportTraceServiceRequest.FromString(body)
    out = []
    for of in it.resource_spans:
        resource = {a.key: value(a.value) for a in of.resource.attributes}
        for scope in of.scope_spans:
            assert scope.scope.name == "everyhop" and scope.scope.version
            out += [spanned(span, resource) for span in scope.spans]
    return out


def spanned(it: Span, resource: dict[str, Any]) -> Spanned:
    assert (len(it.trace_id), len(it.span_id)) == (16, 8)
    said = {a.key: value(a.value) for a in it.attributes}
    assert len(said) == len(it.attributes), "each attribute is said once"
    return Spanned(
        kind=KINDS[it.kind],
        name=it.name,
        trace=it.trace_id.hex(),
        id=it.span_id.hex(),
        parent=it.parent_span_id.hex(),
        state=it.trace_state,
        began_ns=it.start_time_unix_nano,
        ended_ns=it.end_time_unix_nano,
        failed=it.status.code == Status.STATUS_CODE_ERROR,
        flags=it.flags,
        said=said,
        resource=resource,
    )

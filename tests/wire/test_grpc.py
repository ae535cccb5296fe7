"""Calls of gRPC to real servers: none is lost where connections come and go, and what is said of each is the status that it
ended with, which HTTP does not tell."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from tests.kit import EdgeKit, Pki, Raw
from tests.kit.grpc_peer import SERVICE, channel, server
from tests.kit.raw import OK, answering
from tests.wire.test_http2 import GRPC, route
from tests.wire.test_metrics import Told

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]


def called(told: Told) -> dict[str, float]:
    """How many calls ended with each status, and how many answers are of each class, as the metrics have it."""
    figures = told.figures()
    calls = {k.split('status="')[1][:-2]: v for k, v in figures.items() if k.startswith("everyhop_grpc_calls_total")}
    of_route = {k: v for k, v in figures.items() if k.startswith('everyhop_responses_total{route="r"')}
    return calls | {k.split('class="')[1][:-2]: v for k, v in of_route.items() if v}


def ended(told: Told, path: str) -> dict[str, Any]:
    return told.it.line(lambda line: line["path"] == path)


def test_a_call_that_failed_is_no_success_in_the_log_or_the_metrics(edge: Edges, raw: Raws, pki: Pki) -> None:
    """P05. To HTTP each of them is a 200."""
    peer, port = server(pki.backend, pki.internal.file)
    gone = raw(answering(OK))
    gone.close()
    more = f'[[route]]\nname = "gone"\nhost = "a.test"\npath = "/pkg.Gone"\ntls = "plaintext"\nto = ["127.0.0.1:{gone.port}"]\n'
    told = Told(edge, route(port, GRPC, tls_="mutual") + more + 'upstream_protocol = "h2"\n')
    with channel(told.it.port, "a.test", pki.public.file) as opened:
        assert opened.unary_unary(f"/{SERVICE}/One")(b"a", timeout=20) == b"A"
        for path in (f"/{SERVICE}/Fail", f"/{SERVICE}/Nothing", "/pkg.Gone/One"):
            with pytest.raises(grpc.RpcError):
                opened.unary_unary(path)(b"", timeout=20)
    peer.stop(0)
    seen = {}
    for path in ("One", "Fail", "Nothing"):
        line = ended(told, f"/{SERVICE}/{path}")
        seen[path] = (line["status"], line["grpc_status"], line["end"])
    assert seen == {"One": (200, 0, "done"), "Fail": (200, 9, "done"), "Nothing": (200, 12, "done")}
    line = ended(told, "/pkg.Gone/One")
    assert (line["grpc_status"], line["end"]) == (14, "hop/connect-failed")
    told.comes(grpc_calls_total=4)
    assert called(told) == {"0": 1, "9": 1, "12": 1, "14": 1, "2xx": 1, "4xx": 1, "5xx": 1}


def test_what_is_no_call_has_no_status_of_one(edge: Edges, raw: Raws, pki: Pki) -> None:
    """P05. Also where an answer has a field of that name."""
    backend = raw(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\ngrpc-status: 5\r\n\r\nok"))
    told = Told(edge, route(backend.port))
    assert told.ask(pki) == 200
    assert told.it.line(lambda line: line["status"] == 200)["grpc_status"] is None
    told.comes(requests_total=1)
    assert called(told) == {"2xx": 1}


def test_no_call_is_lost_where_a_server_ends_its_connections_now_and_then(edge: Edges, pki: Pki) -> None:
    """F03. With a graceful GOAWAY, while other calls of the connection go on."""
    options = (("grpc.max_connection_age_ms", 300), ("grpc.max_connection_age_grace_ms", 20_000))
    peer, port = server(pki.backend, pki.internal.file, options)
    it = edge(route(port, GRPC, tls_="mutual"))
    with channel(it.port, "a.test", pki.public.file) as opened, ThreadPoolExecutor(8) as several:
        one = opened.unary_unary(f"/{SERVICE}/One")

        def ask(number: int) -> Any:
            return one(b"call %d" % number, timeout=60)

        assert [*several.map(ask, range(1500))] == [b"CALL %d" % n for n in range(1500)]
    peer.stop(0)
    links = {line["backend_hop"]["reused"] for line in it.lines() if line["backend_hop"]}
    assert links == {True, False}

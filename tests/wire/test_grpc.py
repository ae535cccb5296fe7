"""Calls of gRPC to real servers: none is lost where connections come and go, and what is said of each is the status that it
ended with, which HTTP does not tell."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.grpc_peer import SERVICE, channel, server
from tests.kit.raw import OK, answering
from tests.wire.test_http2 import GRPC, route
from tests.wire.test_metrics import Told
from tools.metrics import ONLY_THERE, families

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
    assert families(told.text())["everyhop_grpc_calls_total"].labels == ONLY_THERE["everyhop_grpc_calls_total"]


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


ANSWERED = """
[[route]]
name = "later"
host = "a.test"
path = "/later"
answer = {{ status = 503, text = "100 % down: für immer\\n", headers = {{ retry-after = "60" }} }}
[[route]]
name = "page"
host = "a.test"
path = "/page"
answer = {{ status = 403, text = "<p>no</p>", headers = {{ content-type = "text/html" }} }}
[[route]]
name = "moved"
host = "a.test"
path = "/moved"
redirect = {{ to = "https://b.test{{path}}" }}
[[route]]
name = "fine"
host = "a.test"
path = "/fine"
answer = {{ status = 200, text = "all is well" }}
[[route]]
name = "own"
host = "a.test"
path = "/own"
answer = {{ status = 200, headers = {{ content-type = "application/grpc", grpc-status = "9", grpc-message = "as it says" }} }}
"""

TOLD_TO_CALLS = {
    "later": (14, "100 % down: für immer", 503),
    "page": (7, "the edge answers 403 itself", 403),
    "moved": (2, "the edge answers 308 itself", 308),
    "fine": (2, "all is well", 200),
    "own": (9, "as it says", 200),
}


def test_a_call_to_what_the_edge_answers_itself_ends_with_a_status_of_grpc(edge: Edges, pki: Pki) -> None:
    """P05. A client of gRPC reads neither HTTP's status nor a page: the log and the metrics tell both."""
    told = Told(edge, ANSWERED.format())
    with channel(told.it.port, "a.test", pki.public.file) as opened:
        for name, (code, message, status) in TOLD_TO_CALLS.items():
            with pytest.raises(grpc.RpcError) as failed:
                opened.unary_unary(f"/{name}/One")(b"a", timeout=20)
            assert (failed.value.code().value[0], failed.value.details()) == (code, message), name
            line = ended(told, f"/{name}/One")
            assert (line["status"], line["grpc_status"], line["end"]) == (status, code, "done"), name
            if name == "later":
                assert ("retry-after", "60") in {(k, v) for k, v in failed.value.initial_metadata() or ()} | {
                    (k, v) for k, v in failed.value.trailing_metadata() or ()
                }
    figures = told.comes(grpc_calls_total=5)
    counted = {k.split('route="')[1].split('"')[0]: k for k in figures if k.startswith("everyhop_grpc_calls_total")}
    assert {name: key.split('status="')[1][:-2] for name, key in counted.items()} == {
        name: str(code) for name, (code, _, _) in TOLD_TO_CALLS.items()
    }
    # Who makes no call is answered as ever.
    with tls(told.it.port, "a.test", pki.public.file) as sock:
        answer = exchange(sock, "GET /later HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert answer.status == 503 and answer.text == "100 % down: für immer\n"
    assert told.it.line(lambda line: line["path"] == "/later")["grpc_status"] is None


def test_a_call_to_a_route_under_maintenance_is_unavailable(edge: Edges, pki: Pki) -> None:
    """P05. So that clients try again, as they do of a server that is away."""
    peer, port = server(pki.backend, pki.internal.file)
    told = Told(edge, route(port, GRPC, tls_="mutual"))
    with channel(told.it.port, "a.test", pki.public.file) as opened:
        one = opened.unary_unary(f"/{SERVICE}/One")
        assert one(b"a", timeout=20) == b"A"
        at = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)).isoformat()
        told.it.admin("maintenance", route="r", until=at, text=None)
        with pytest.raises(grpc.RpcError) as failed:
            one(b"a", timeout=20)
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
        line = told.it.line(lambda line: line["status"] == 503)
        assert (line["grpc_status"], line["end"]) == (14, "done")
        told.it.admin("maintenance", route="r", until=at, text="<h1>down</h1>", html=True)
        with pytest.raises(grpc.RpcError) as paged:
            one(b"a", timeout=20)
        assert (paged.value.code(), paged.value.details()) == (
            grpc.StatusCode.UNAVAILABLE,
            "the edge answers 503 itself",
        ), "a page is for people"
        told.it.admin("maintenance", route="r", until=None, text=None)
        assert one(b"a", timeout=20) == b"A"
    peer.stop(0)

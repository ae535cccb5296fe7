"""How many requests of one kind a route takes in a time, and at once: judged at the client and at a recording backend, which
sees none of what is refused. Rates are by the hour, so that nothing is earned back while a test runs."""

from __future__ import annotations

import json
import re
import socket
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from everyhop.demo.stage import free_port
from tests.kit import Answer, EdgeKit, Pki, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.grpc_peer import SERVICE, channel, server
from tests.kit.raw import OK, Record, answering, head
from tests.wire.test_http2 import GRPC, Speaker
from tests.wire.test_turns import Holding

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
TRUSTED = 'trusted_proxies = ["127.0.0.1"]'


def limit(rate: str = "3/h", more: str = "", name: str = "few") -> str:
    return f'[[limit]]\nname = "{name}"\n{f"rate = {json.dumps(rate)}" if rate else ""}\n{more}\n'


def route(port: int, by: str = '"few"', more: str = "", name: str = "r") -> str:
    limited = f"limited_by = [{by}]" if by else ""
    return f'[[route]]\nname = "{name}"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n{limited}\n{more}\n'


def ask(it: EdgeKit, pki: Pki, fields: str = "", path: str = "/", host: str = "a.test", **how: Any) -> Answer:
    """On a connection of its own."""
    with tls(it.port, host, pki.public.file, **how) as sock:
        return exchange(sock, f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{fields}Connection: close\r\n\r\n")


def came(backend: Raw) -> int:
    return backend.received.count(b" HTTP/1.1\r\n")


@pytest.fixture
def backend(raw: Raws) -> Raw:
    return raw(answering(OK))


def test_what_is_beyond_the_rate_is_told_when_to_come_back_and_no_backend_sees_it(
    edge: Edges, pki: Pki, backend: Raw
) -> None:
    it = edge(limit() + route(backend.port))
    assert [ask(it, pki).status for _ in range(3)] == [200] * 3
    over = ask(it, pki)
    assert (over.status, over.headers["ratelimit-policy"]) == (429, '"few";q=3;w=3600')
    wait = int(over.headers["retry-after"])
    assert 1100 < wait <= 1200 and over.headers["ratelimit"] == f'"few";r=0;t={wait}'
    assert b"request/rate-limited" in over.body and "x-ratelimit-limit" not in over.headers
    line = it.line(lambda line: line["status"] == 429)
    assert (line["end"], line["route"]) == ("request/rate-limited", "r")
    assert re.fullmatch(r"limit few: 3/h, burst 3, key [0-9a-f]{8}", line["detail"])
    assert came(backend) == 3


def test_a_refused_connection_goes_on_and_its_next_request_is_judged_by_itself(
    edge: Edges, pki: Pki, backend: Raw
) -> None:
    it = edge(limit("1/h") + route(backend.port) + route(backend.port, "", 'path = "/free"', "free"))
    with tls(it.port, "a.test", pki.public.file) as sock:
        seen = [
            exchange(sock, f"POST {path} HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nbody").status
            for path in ("/", "/", "/free", "/", "/free")
        ]
    assert seen == [200, 429, 200, 429, 200]
    assert came(backend) == 3


@pytest.mark.parametrize("threads", [1, 3])
def test_one_client_has_one_limit_over_all_connections_protocols_threads_and_ways_to_write_a_path(
    edge: Edges, pki: Pki, backend: Raw, threads: int
) -> None:
    """L01."""
    it = edge(limit("10/h") + route(backend.port, more='path = "/v1"'), threads=threads)
    paths = ["/v1", "/v1/", "/v1//x", "/v1/./x", "/v1/y/../x", "/v1/%78", "/v1/x?y", "/v1/x;a=b", "/v1/x%2Fy", "/v1/x"]
    with ThreadPoolExecutor(10) as pool:
        seen = list(pool.map(lambda path: ask(it, pki, path=path).status, paths * 2))
    with Speaker(it, pki) as speaker:
        assert speaker.outcome(speaker.headers(path="/v1/x")) == "429"
    assert (seen.count(200), seen.count(429)) == (10, 10)
    assert came(backend) == 10


def told(address: str) -> str:
    return f"X-Forwarded-For: {address}\r\n"


ONE_OF = {
    "a stranger's own word": ("", ["192.0.2.1", "192.0.2.2"]),
    "a network of IPv6": (TRUSTED, ["2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff"]),
    "an address that is mapped": (TRUSTED, ["192.0.2.1", "::ffff:192.0.2.1"]),
    "the last that is not vouched for": (TRUSTED, ["192.0.2.1", "10.0.0.9, 192.0.2.1"]),
}


@pytest.mark.parametrize(("listener", "both"), ONE_OF.values(), ids=ONE_OF)
def test_addresses_of_one_client_are_one(edge: Edges, pki: Pki, backend: Raw, listener: str, both: list[str]) -> None:
    """L01."""
    it = edge(limit("1/h") + route(backend.port), listener=listener)
    assert [ask(it, pki, told(address)).status for address in both] == [200, 429]


TWO_OF = {
    "addresses": (["192.0.2.1", "192.0.2.2"], ""),
    "networks of IPv6": (["2001:db8:0:1::1", "2001:db8:0:2::1"], ""),
    "addresses of IPv6 where each counts": (["2001:db8::1", "2001:db8::2"], "ipv6_prefix = 128"),
}


@pytest.mark.parametrize(("both", "more"), TWO_OF.values(), ids=TWO_OF)
def test_another_client_is_not_concerned(edge: Edges, pki: Pki, backend: Raw, both: list[str], more: str) -> None:
    it = edge(limit("1/h", more) + route(backend.port), listener=TRUSTED)
    assert [ask(it, pki, told(address)).status for address in [*both, *both]] == [200, 200, 429, 429]


KEYS = {
    "a field": ("header:x-tenant", ["x-tenant: a\r\n", "X-Tenant: b\r\n"], ["x-tenant: a\r\n"]),
    "a field of several values": (
        "header:x-a",
        ["x-a: a\r\nx-a: b\r\n", "x-a: b\r\nx-a: a\r\n"],
        ["x-a: a\r\nx-a: b\r\n"],
    ),
    "a cookie": ("cookie:id", ["Cookie: id=1; x=1\r\n", "Cookie: x=1; id=2\r\n"], ["Cookie: id=1\r\nCookie: x=2\r\n"]),
    "what is not there": ("header:x-tenant", ["", "x-tenant:\r\n"], ["x-other: a\r\n", "x-tenant:\r\n"]),
}


@pytest.mark.parametrize(("by", "apart", "again"), KEYS.values(), ids=KEYS)
def test_a_key_is_what_the_request_has_of_it_and_leaving_it_out_is_one_too(
    edge: Edges, pki: Pki, backend: Raw, by: str, apart: list[str], again: list[str]
) -> None:
    it = edge(limit("1/h", f'by = ["{by}", "client-address"]') + route(backend.port))
    assert [ask(it, pki, fields).status for fields in [*apart, *again]] == [200] * len(apart) + [429] * len(again)


def test_routes_that_name_one_limit_count_together_and_apart_where_the_route_is_of_the_key(
    edge: Edges, pki: Pki, backend: Raw
) -> None:
    both = limit("1/h", name="all") + limit("1/h", 'by = ["client-address", "route"]', "each")
    routes = "".join(
        route(backend.port, f'"{by}"', f'path = "/{by}{n}"', f"{by}{n}") for by in ("all", "each") for n in "12"
    )
    it = edge(both + routes)
    assert [ask(it, pki, path=f"/{name}").status for name in ("all1", "all2", "each1", "each2", "each1")] == [
        200, 429, 200, 200, 429,
    ]  # fmt: skip


def test_clients_are_told_apart_by_the_name_in_their_certificate_and_those_without_one_are_one(
    edge: Edges, pki: Pki, backend: Raw
) -> None:
    site = 'clients = { ca = "{pki}/public-ca.pem", mode = "ask" }'
    it = edge(limit("1/h", 'by = ["client-name"]') + route(backend.port), site=site)
    other = pki.public.leaf("another", "another.test")
    leaves = [pki.client, other, None, pki.client, other, None]
    assert [ask(it, pki, leaf=leaf).status for leaf in leaves] == [200] * 3 + [429] * 3


def test_who_may_not_pass_counts_for_nothing(edge: Edges, pki: Pki, backend: Raw) -> None:
    site = 'clients = { ca = "{pki}/public-ca.pem", mode = "ask" }'
    it = edge(limit("1/h") + route(backend.port, more='allow = { clients = ["client.test"] }'), site=site)
    assert [ask(it, pki, leaf=leaf).status for leaf in (None, None, pki.client, pki.client, None)] == [
        403, 403, 200, 429, 403,
    ]  # fmt: skip


@pytest.mark.parametrize("pattern", ["plaintext", "mutual"])
def test_a_call_of_grpc_is_told_in_its_own_words(edge: Edges, pki: Pki, pattern: str) -> None:
    peer, port = server(pki.backend, pki.internal.file)
    it = edge(limit("1/h") + route(port, more=GRPC).replace('tls = "plaintext"', 'tls = "mutual"'))
    with channel(it.port, "a.test", pki.public.file) as opened:
        assert opened.unary_unary(f"/{SERVICE}/One")(b"a", timeout=20) == b"A"
        with pytest.raises(grpc.RpcError) as refused:
            opened.unary_unary(f"/{SERVICE}/One")(b"a", timeout=20)
    peer.stop(0)
    told: Any = refused.value
    assert told.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    metadata = {**dict(told.initial_metadata() or ()), **dict(told.trailing_metadata() or ())}
    assert 3_500_000 < int(metadata["grpc-retry-pushback-ms"]) <= 3_600_000
    assert metadata["ratelimit-policy"] == '"few";q=1;w=3600'
    line = it.line(lambda line: line["end"] == "request/rate-limited")
    assert line["grpc_status"] == 8


def test_one_that_only_observes_lets_all_pass_and_says_of_which_it_would_not(
    edge: Edges, pki: Pki, backend: Raw
) -> None:
    it = edge(limit("1/h", 'mode = "observe"\nat_once = 5') + route(backend.port))
    assert [ask(it, pki).status for _ in range(3)] == [200] * 3
    lines = [line for line in it.all_lines() if line["status"] == 200]
    assert [line["end"] for line in lines] == ["done"] * 3
    said = [line["detail"] for line in lines if line["detail"]]
    assert len(said) == 2
    assert all(
        re.fullmatch(r"limit few: 1/h, burst 1, key [0-9a-f]{8}; observed alone, it would be refused", d) for d in said
    )


def test_what_another_limit_refuses_counts_for_none(edge: Edges, pki: Pki, backend: Raw) -> None:
    two = limit("3/h", name="wide") + limit("1/h", 'by = ["header:x-a", "client-address"]', "narrow")
    it = edge(two + route(backend.port, '"wide", "narrow"'))
    seen = [ask(it, pki, f"x-a: {value}\r\n").status for value in "aaaabcd"]
    assert seen == [200, 429, 429, 429, 200, 200, 429]
    ends = [line["detail"] for line in it.all_lines() if line["status"] == 429]
    assert ["narrow" in text for text in ends] == [True, True, True, False]


@pytest.fixture
def holding(raw: Raws) -> Iterator[tuple[Holding, int]]:
    script = Holding()
    yield script, raw(script).port
    script.go.release(1000)


def test_so_many_are_under_way_at_once_and_the_next_has_its_turn_when_one_ends(
    edge: Edges, pki: Pki, holding: tuple[Holding, int]
) -> None:
    script, port = holding
    status = free_port()
    more = f'[status]\nbind = "127.0.0.1:{status}"\n'
    it = edge(limit("", "at_once = 2") + route(port), listener=TRUSTED, more=more, threads=2)
    with ThreadPoolExecutor(8) as pool:
        held = [pool.submit(ask, it, pki) for _ in range(2)]
        until(lambda: script.asked == 2)
        over = ask(it, pki)
        assert (over.status, over.headers["retry-after"]) == (429, "1")
        assert b"request/too-many-of-key" in over.body
        other = pool.submit(ask, it, pki, told("192.0.2.7"))
        until(lambda: script.asked == 3)
        assert metric(status, 'everyhop_limit_requests_under_way{limit="few"}') == 3
        script.go.release(3)
        assert [one.result(20).status for one in [*held, other]] == [200] * 3
        until(lambda: metric(status, 'everyhop_limit_requests_under_way{limit="few"}') == 0)
        script.go.release(1)
        assert ask(it, pki).status == 200
    assert metric(status, 'everyhop_limited_total{route="r",limit="few",mode="refuse"}') == 1


def test_who_leaves_is_under_way_no_more(edge: Edges, pki: Pki, holding: tuple[Holding, int]) -> None:
    script, port = holding
    it = edge(limit("", "at_once = 1") + route(port))
    with tls(it.port, "a.test", pki.public.file) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        until(lambda: script.asked == 1)
        assert ask(it, pki).status == 429
    it.line(lambda line: line["end"] == "request/client-gone")
    script.go.release(2)
    assert ask(it, pki).status == 200


def test_a_reload_forgets_nothing_that_was_used_and_other_numbers_hold_at_once(
    edge: Edges, pki: Pki, backend: Raw
) -> None:
    """L02."""
    it = edge(limit("2/h") + route(backend.port))
    assert [ask(it, pki).status for _ in range(3)] == [200, 200, 429]
    assert it.reload(limit("2/h") + route(backend.port, more="priority = 1"))["reloaded"]
    assert ask(it, pki).status == 429
    assert it.reload(limit("4/h", "burst = 8") + route(backend.port))["reloaded"]
    seen = [ask(it, pki).status for _ in range(5)]
    assert seen == [200] * 4 + [429], "of two hours, which eight are, one was used up"


def metric(port: int, name: str) -> float:
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20).read().decode()
    (line,) = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(line.rpartition(" ")[2])


def test_every_answer_tells_what_is_left_where_that_is_asked_for_and_a_backends_own_count_does_not_pass_for_it(
    edge: Edges, pki: Pki, raw: Raws
) -> None:
    own = b"HTTP/1.1 200 OK\r\nX-RateLimit-Limit: 7\r\nContent-Length: 2\r\n\r\nok"
    backend = raw(answering(own))
    it = edge(limit("2/h", 'burst = 5\ntells = "answers"\nx_ratelimit = true') + route(backend.port))
    seen = [ask(it, pki) for _ in range(6)]
    assert [a.status for a in seen] == [200] * 5 + [429]
    assert [a.headers["x-ratelimit-remaining"] for a in seen] == ["4", "3", "2", "1", "0", "0"]
    assert {a.headers["x-ratelimit-limit"] for a in seen} == {"5"}
    assert {a.headers["ratelimit-policy"] for a in seen} == {'"few";q=5;w=9000'}
    assert re.fullmatch(r'"few";r=4;t=1[78]\d\d', seen[0].headers["ratelimit"])
    it.reload(limit("2/h") + route(backend.port, ""))
    assert ask(it, pki).headers["x-ratelimit-limit"] == "7"


def test_status_tells_who_is_busiest_without_saying_who_it_is_and_where_tells_the_limit(
    edge: Edges, pki: Pki, backend: Raw
) -> None:
    it = edge(limit("2/h", 'by = ["header:x-secret", "client-address"]') + route(backend.port))
    assert [ask(it, pki, "x-secret: hunter2\r\n").status for _ in range(4)] == [200, 200, 429, 429]
    ask(it, pki, "x-secret: other\r\n")
    (told,) = it.status()["limits"]
    assert (told["name"], told["over"], told["keys"], told["burst"]) == ("few", 2, 2, 2)
    assert [busy["used"] for busy in told["busiest"]] == [2, 1]
    key = it.line(lambda line: line["status"] == 429)["detail"].rpartition(" ")[2]
    assert told["busiest"][0]["key"] == key
    shown = it.cli("status", "--config", str(it.config)).stdout
    assert f"limit few: 2 refused, 2 key(s) have used some of 2, {key} 2" in shown and "hunter2" not in shown
    asked = it.cli("where", "a.test/", "--config", str(it.config)).stdout
    assert "limited  few: 2 a hour, by client address (IPv6 /64) and header x-secret" in asked


def test_a_websocket_is_under_way_until_it_ends(edge: Edges, pki: Pki, raw: Raws) -> None:
    def script(sock: socket.socket, record: Record) -> None:
        while (asked := head(sock, record)) is not None:
            if b"upgrade: websocket" not in asked.lower():
                sock.sendall(OK)
                continue
            sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
            while record.take(sock, 4096):
                pass

    it = edge(limit("", "at_once = 1") + route(raw(script).port))
    upgrade = b"GET / HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    with tls(it.port, "a.test", pki.public.file) as tunnel:
        tunnel.sendall(upgrade)
        assert (head(tunnel, bytearray()) or b"").startswith(b"HTTP/1.1 101")
        assert ask(it, pki).status == 429
    until(lambda: ask(it, pki).status == 200)


def test_what_a_limit_only_observes_has_its_line_on_a_route_that_is_quiet_about_what_goes_as_decided(
    edge: Edges, pki: Pki, backend: Raw
) -> None:
    it = edge(limit("2/h", 'mode = "observe"') + route(backend.port, more="log = false"))
    assert [ask(it, pki, path=f"/{n}").status for n in range(3)] == [200] * 3
    assert [line["path"] for line in it.all_lines() if line["route"] == "r"] == ["/2"]

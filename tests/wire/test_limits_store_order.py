"""What a store says of a request is known before anybody else hears of it, and what one limit refuses counts for no other: by
Redis itself, and edges of which the second has nothing leased and so has to wait for each answer. Rates are by the hour, so that
nothing is earned back while a test runs."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Pki, Raw
from tests.kit.authorizer import Asked, block
from tests.kit.edge import until
from tests.kit.grpc_peer import SERVICE, channel, server
from tests.kit.raw import OK, answering
from tests.kit.redis import Redis
from tests.wire.test_http2 import GRPC
from tests.wire.test_limits import ask, came, limit, metric, route
from tests.wire.test_limits_store import comes_up, decided, is_up, shared, store

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]


BY_A = 'by = ["header:x-a"]'


def fields(name: str) -> Iterator[str]:
    """Fields with values that nobody has counted by."""
    return (f"{name}: {n}\r\n" for n in itertools.count())


@pytest.fixture
def backend(raw: Raws) -> Raw:
    return raw(answering(OK))


def test_nobody_is_asked_about_a_request_that_the_store_refuses(
    edge: Edges, pki: Pki, raw: Raws, backend: Raw, redis: Redis
) -> None:
    who, keys = Asked(), fields("x-a")
    text = shared("1/h", more=BY_A) + store(pki, redis.port("plaintext")) + block(raw(who).port)
    one, two = (comes_up(edge(text + route(backend.port, more='ask = "sso"'))) for _ in range(2))

    def passes() -> str | None:
        key = next(keys)
        return key if ask(one, pki, key).status == 200 else None

    # What the store was late for it has counted, and nobody is asked about it: such a key is no more use.
    key = until(passes, 30)
    assert len(who.questions) == 1
    over = decided(two, pki, key)
    assert (over.status, over.headers["ratelimit-policy"]) == (429, '"few";q=1;w=3600')
    line = two.line(lambda line: line["status"] == 429)
    assert line["end"] == "request/rate-limited" and re.fullmatch(
        r"limit few: 1/h, burst 1, key [0-9a-f]{8}", line["detail"]
    )
    redis.kill()
    until(lambda: not is_up(two) or None, 30)
    assert ask(two, pki, key).status in (429, 503)
    assert len(who.questions) == 1 and came(backend) == 1


def test_a_request_that_a_store_does_not_answer_for_is_asked_about_only_where_it_would_pass(
    edge: Edges, pki: Pki, raw: Raws, backend: Raw
) -> None:
    who = Asked()
    asking = block(raw(who).port) + route(backend.port, more='ask = "sso"')
    gone = store(pki, free_port())
    refuses, passes = (edge(shared("5/h", down) + gone + asking) for down in ("refuse", "local"))
    assert ask(refuses, pki).status == 503 and who.questions == [] and came(backend) == 0
    assert ask(passes, pki).status == 200 and len(who.questions) == 1 and came(backend) == 1


def test_what_the_store_refuses_counts_for_no_other_limit_and_the_other_way_round(
    edge: Edges, pki: Pki, backend: Raw, redis: Redis
) -> None:
    counts = limit("2/h", 'by = ["header:x-b"]', "own")
    text = counts + shared("1/h", more=BY_A) + store(pki, redis.port("plaintext"))
    one, two = (comes_up(edge(text + route(backend.port, '"own", "few"'))) for _ in range(2))
    assert decided(one, pki, "x-a: used\r\nx-b: 1\r\n").status in (200, 429)
    firsts, seconds = fields("x-a"), fields("x-b")

    def found() -> list[int] | None:
        """By keys of its own: what the store was late for it has counted, and then this shows nothing."""
        mine, last = next(seconds), ""
        for _ in range(3):
            # By the store each time, and never by the limit of this edge.
            assert '"few"' in decided(two, pki, f"x-a: used\r\n{mine}").headers["ratelimit"]
        found = [ask(two, pki, (last := next(firsts)) + mine).status for _ in range(3)]
        # What `own` refused there is still to be had, by another key of `own`.
        found.append(ask(two, pki, last + next(seconds)).status)
        return None if 503 in found else found

    assert until(found, 60) == [200, 200, 429, 200]


def test_what_would_be_refused_is_told_and_passes_where_a_limit_only_observes(
    edge: Edges, pki: Pki, backend: Raw, redis: Redis
) -> None:
    text = shared("1/h", "local", 'mode = "observe"') + store(pki, redis.port("plaintext")) + route(backend.port)
    one, two = (comes_up(edge(text)) for _ in range(2))
    until(lambda: (ask(one, pki), redis.keys())[1] or None, 30)
    until(lambda: (ask(two, pki).status == 200 and two.status()["limits"][0]["over"]) or None, 30)
    line = two.line(lambda line: line["detail"] is not None)
    assert line["status"] == 200
    assert re.fullmatch(
        r"limit few: 1/h, burst 1, key [0-9a-f]{8}; observed alone, it would be refused", line["detail"]
    )


def test_what_is_left_is_told_once_also_where_the_store_was_waited_for(
    edge: Edges, pki: Pki, backend: Raw, redis: Redis
) -> None:
    text = shared("5/h", more='tells = "answers"') + store(pki, redis.port("mutual"), "mutual") + route(backend.port)
    it = comes_up(edge(text))
    first = decided(it, pki)
    assert first.status == 200 and re.fullmatch(r'"few";r=[0-4];t=[0-9]+', first.headers["ratelimit"])


def test_a_call_of_grpc_that_the_store_refuses_is_told_in_its_own_words(edge: Edges, pki: Pki, redis: Redis) -> None:
    peer, port = server(pki.backend, pki.internal.file)
    text = shared("1/h", "local") + store(pki, redis.port("plaintext"))
    text += route(port, more=GRPC).replace('tls = "plaintext"', 'tls = "mutual"')
    one, two = (comes_up(edge(text)) for _ in range(2))

    def code(it: EdgeKit) -> grpc.StatusCode:
        with channel(it.port, "a.test", pki.public.file) as opened:
            try:
                opened.unary_unary(f"/{SERVICE}/One")(b"a", timeout=20)
            except grpc.RpcError as refused:
                told: Any = refused
                return grpc.StatusCode(told.code())
        return grpc.StatusCode.OK

    try:
        until(lambda: (code(one), redis.keys())[1] or None, 30)
        # By its own count the second would let one pass.
        until(lambda: code(two) == grpc.StatusCode.RESOURCE_EXHAUSTED or None, 30)
    finally:
        peer.stop(0)


def test_status_tells_of_each_store_whether_it_answers_by_which_hop_and_how_often_the_edge_decided_alone(
    edge: Edges, pki: Pki, backend: Raw, redis: Redis
) -> None:
    status = free_port()
    more = f'[status]\nbind = "127.0.0.1:{status}"\n'
    text = shared("1000/h", "local") + store(pki, redis.port("mutual"), "mutual") + route(backend.port)
    it = comes_up(edge(text, more=more))

    def shown() -> str:
        return " ".join(it.cli("status", "--config", str(it.config)).stdout.split())

    at = f"127.0.0.1:{redis.port('mutual')}"
    assert re.search(
        rf"store counters \(Valkey or Redis\): answers, {at} mutual TLS 1\.3 \S+ knows us, asked \d+ time", shown()
    )
    redis.kill()
    until(lambda: not is_up(it) or None, 30)
    before = it.status()["stores"][0]["alone"]
    assert [ask(it, pki).status for _ in range(3)] == [200] * 3
    told = shown()
    assert (
        "store counters (Valkey or Redis): SILENT: " in told
        and "knows us before" in told
        and "fell silent 1 time(s)" in told
    )
    assert f"{before + 3} request(s) let pass by this edge's own count" in told
    assert metric(status, 'everyhop_store_alone_total{store="counters"}') == before + 3
    drawn = " ".join(it.cli("check", str(it.config)).stdout.split())
    assert f"counted at: counters =mTLS= {at}" in drawn

"""Edges that count together in a store: Redis itself, over every hop, killed and begun again, stopped, and one that lies. Rates are
by the hour, so that nothing is earned back while a test runs."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from everyhop.demo.stage import free_port
from tests.kit import Answer, EdgeKit, Pki, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.raw import OK, Record, answering
from tests.kit.redis import SERVERS, Redis
from tests.wire.test_limits import ask, came, limit, metric, route
from tests.wire.test_traces import HOPS

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
BATCH = 2
"""Of a burst of 200 one in a hundred."""


def store(pki: Pki, port: int, pattern: str = "plaintext", more: str = "") -> str:
    hop = HOPS[pattern].format(pki=pki.folder)
    return f'[[store]]\nname = "counters"\nto = ["127.0.0.1:{port}"]\n{hop}\n{more}\n'


def shared(rate: str = "200/h", down: str = "refuse", more: str = "") -> str:
    return limit(rate, f'store = "counters"\nwhen_store_down = "{down}"\n{more}')


@pytest.fixture
def backend(raw: Raws) -> Raw:
    return raw(answering(OK))


def is_up(it: EdgeKit) -> bool:
    (told,) = it.status()["stores"]
    return bool(told["up"])


def comes_up(it: EdgeKit) -> EdgeKit:
    until(lambda: is_up(it) or None, 30, lambda: str(it.status()["stores"]))
    return it


def decided(it: EdgeKit, pki: Pki, fields: str = "") -> Answer:
    """The answer once the store had the time to say something."""

    def once() -> Answer | None:
        answer = ask(it, pki, fields)
        return None if answer.status == 503 else answer

    return until(once, 30)


def troubles(it: EdgeKit) -> list[str]:
    return [one["why"] for one in it.admin("status")["supervisor"]["troubles"] if one["kind"] == "store-silent"]


def used_up(it: EdgeKit, pki: Pki) -> int:
    """How many pass over one connection until one after the other is refused; what the store was late for is asked again."""
    passed = refused = 0
    with tls(it.port, "a.test", pki.public.file) as sock:
        while refused < 3:
            status = exchange(sock, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").status
            assert status in (200, 429, 503)
            passed += status == 200
            refused = refused + 1 if status == 429 else 0
    return passed


@pytest.mark.parametrize("pattern", HOPS)
def test_two_edges_let_pass_together_what_one_may_and_no_more(
    edge: Edges, pki: Pki, backend: Raw, redis: Redis, pattern: str
) -> None:
    """L01."""
    text = shared() + store(pki, redis.port(pattern), pattern) + route(backend.port)
    both = [comes_up(edge(text)) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        passed = list(pool.map(lambda it: used_up(it, pki), both))
    late = sum(it.status()["stores"][0]["late"] for it in both)
    asked = sum(it.status()["stores"][0]["asked"] for it in both)
    # What an edge leased and did not use nobody else has: a batch of each, and what it was given too late.
    assert 200 - (BATCH + 2) * (2 + late) <= sum(passed) <= 200, (passed, late)
    assert all(passed) and came(backend) == sum(passed)
    assert asked < sum(passed), "it is not asked at each request"
    (key,) = redis.keys()
    assert re.fullmatch(r"everyhop:few:[0-9a-f]{32}", key)


def test_who_comes_by_another_edge_is_still_the_same_and_another_is_not(
    edge: Edges, pki: Pki, backend: Raw, redis: Redis
) -> None:
    text = shared("1/h", more='by = ["header:x-a", "client-address"]') + store(pki, redis.port("plaintext"))
    one, two = (comes_up(edge(text + route(backend.port))) for _ in range(2))

    def status(it: EdgeKit, value: str) -> int:
        return until(lambda: ((s := ask(it, pki, f"x-a: {value}\r\n").status) != 503 and s) or None, 30)

    assert [status(one, "a"), status(two, "a"), status(two, "b"), status(one, "b")] == [200, 429, 200, 429]


@pytest.mark.parametrize(("down", "status"), [("local", 200), ("refuse", 503)])
def test_while_the_store_is_gone_each_edge_counts_by_itself_or_refuses_and_then_they_count_together_again(
    edge: Edges, pki: Pki, backend: Raw, redis: Redis, down: str, status: int
) -> None:
    it = comes_up(edge(shared("100/h", down) + store(pki, redis.port("mutual"), "mutual") + route(backend.port)))
    redis.kill()
    until(lambda: not is_up(it) or None, 30)
    until(lambda: troubles(it) or None, 30)
    # What was leased before may still be used: nothing was.
    told = [ask(it, pki) for _ in range(3)]
    assert [answer.status for answer in told] == [status] * 3
    if status == 503:
        assert "request/limit-unknown" in told[0].text and told[0].headers["retry-after"] == "1"
        line = it.line(lambda line: line["status"] == 503)
        assert (line["end"], line["route"]) == ("request/limit-unknown", "r")
        assert re.fullmatch(r"limit few: its store does not answer, key [0-9a-f]{8}", line["detail"])
    redis.begin()
    comes_up(it)
    until(lambda: troubles(it) == [] or None, 30)
    until(lambda: ask(it, pki).status == 200 or None, 30)
    until(lambda: redis.keys() or None, 30)


def test_what_is_refused_while_nobody_counts_is_not_counted(edge: Edges, pki: Pki, backend: Raw) -> None:
    it = edge(shared("2/h", "refuse") + store(pki, free_port()) + route(backend.port))
    assert [ask(it, pki).status for _ in range(6)] == [503] * 6


def test_an_edge_that_counts_by_itself_lets_no_more_pass_than_the_limit(edge: Edges, pki: Pki, backend: Raw) -> None:
    it = edge(shared("5/h", "local") + store(pki, free_port()) + route(backend.port))
    assert [ask(it, pki).status for _ in range(7)] == [200] * 5 + [429] * 2


def test_a_store_that_is_stopped_holds_nobody_and_is_asked_again_once_it_goes_on(
    edge: Edges, pki: Pki, backend: Raw, redis: Redis
) -> None:
    it = comes_up(edge(shared("1000000/h", "local") + store(pki, redis.port("mutual"), "mutual") + route(backend.port)))
    redis.stop()
    longest, passed = 0.0, 0
    with tls(it.port, "a.test", pki.public.file) as sock:
        # As long as nobody has noticed, and some time after.
        while passed < 200 or is_up(it):
            began = time.monotonic()
            assert exchange(sock, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").status == 200
            longest, passed = max(longest, time.monotonic() - began), passed + 1
            assert passed < 20_000, "it never counts as silent"
    # Of 20 ms, on a machine that has other things to do.
    assert longest < 1.0
    redis.goes_on()
    comes_up(it)
    assert it.status()["stores"][0]["late"] >= 1


def test_killed_and_begun_again_under_load_nothing_fails(edge: Edges, pki: Pki, backend: Raw, redis: Redis) -> None:
    it = comes_up(
        edge(shared("1000000/h", "local", "burst = 500") + store(pki, redis.port("plaintext")) + route(backend.port))
    )
    stop = False

    def load() -> list[int]:
        seen = []
        with tls(it.port, "a.test", pki.public.file) as sock:
            while not stop:
                seen.append(exchange(sock, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").status)
        return seen

    with ThreadPoolExecutor(2) as pool:
        loads = [pool.submit(load) for _ in range(2)]
        try:
            for _ in range(2):
                redis.kill()
                until(lambda: not is_up(it) or None, 30)
                redis.begin()
                comes_up(it)
        finally:
            stop = True
        seen = [status for one in loads for status in one.result(30)]
    assert {*seen} <= {200, 429} and 200 in seen
    assert it.status()["stores"][0]["downs"] >= 2


@pytest.mark.parametrize("server", SERVERS)
def test_the_password_is_said_first_and_a_wrong_one_is_told(
    edge: Edges, pki: Pki, backend: Raw, tmp_path: Path, server: str
) -> None:
    redis = Redis(pki, tmp_path, "--requirepass", "hunter2", server=server)
    secret = tmp_path / "password"
    secret.touch(0o600)
    secret.write_text("wrong\n")
    try:
        more = f'password = "file:{secret}"'
        it = edge(shared("3/h") + store(pki, redis.port("mutual"), "mutual", more) + route(backend.port))
        until(lambda: "WRONGPASS" in "".join(troubles(it)) or None, 30, lambda: str(it.status()["stores"]))
        assert ask(it, pki).status == 503
        secret.write_text("hunter2\n")
        comes_up(it)
        until(lambda: ask(it, pki).status == 200 or None, 30)
        shown = str(it.admin("status")) + it.config.read_text() + it.cli("plan", str(it.config)).stdout
        assert "hunter2" not in shown
    finally:
        redis.close()


LIES = {
    "HTTP": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "more than was asked for": b"*3\r\n:1000\r\n:0\r\n:0\r\n",
    "less than nothing": b"*3\r\n:-1\r\n:0\r\n:0\r\n",
    "never again": b"*3\r\n:0\r\n:0\r\n:9000000000000000000\r\n",
    "an error": b"-OOM command not allowed\r\n",
    "twice": b"*3\r\n:1\r\n:0\r\n:0\r\n" * 2,
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_store_that_answers_something_else_is_not_believed(
    edge: Edges, pki: Pki, backend: Raw, raw: Raws, lie: bytes
) -> None:
    def script(sock: socket.socket, record: Record) -> None:
        while record.take(sock, 65536):
            if b"EVAL" in bytes(record):
                sock.sendall(lie)
            elif b"SCRIPT" in bytes(record):
                sock.sendall(b"+PONG\r\n$40\r\n" + b"a" * 40 + b"\r\n")

    it = comes_up(edge(shared("3/h", "local") + store(pki, raw(script).port) + route(backend.port)))
    assert ask(it, pki).status == 200
    until(lambda: it.status()["stores"][0]["downs"] or None, 30)
    assert [ask(it, pki).status for _ in range(3)] == [200, 200, 429]


def test_a_store_that_is_somebody_else_is_asked_nothing(edge: Edges, pki: Pki, backend: Raw, redis: Redis) -> None:
    text = store(pki, redis.port("mutual"), "mutual").replace("backend.internal", "other.internal")
    it = edge(shared("3/h") + text + route(backend.port))
    until(lambda: "hop/" in "".join(troubles(it)) or None, 30, lambda: str(it.status()["stores"]))
    assert ask(it, pki).status == 503 and redis.keys() == []


def test_it_is_drawn_and_told_and_counted(edge: Edges, pki: Pki, backend: Raw, redis: Redis) -> None:
    status = free_port()
    more = f'[status]\nbind = "127.0.0.1:{status}"\n'
    it = comes_up(
        edge(shared("50/h", "local") + store(pki, redis.port("mutual"), "mutual") + route(backend.port), more=more)
    )
    until(lambda: (ask(it, pki), redis.keys())[1] or None, 30)
    assert metric(status, 'everyhop_store_up{store="counters",speaks="redis"}') == 1
    assert metric(status, 'everyhop_store_asked_total{store="counters"}') >= 1
    assert it.status()["stores"][0]["speaks"] == "redis"
    assert "store counters (Valkey or Redis): answers," in it.cli("status", "--config", str(it.config)).stdout
    told = it.cli("where", "a.test/", "--config", str(it.config)).stdout
    assert "all edges together in store counters (while it is silent each edge by itself)" in " ".join(told.split())
    drawn = " ".join(it.cli("explain", str(it.config)).stdout.split())
    assert "store counters (Valkey or Redis): counts who comes" in drawn
    assert (
        f"Store counters (Valkey or Redis) at 127.0.0.1:{redis.port('mutual')} (mutual) counts its requests for limit few"
        in drawn
    )

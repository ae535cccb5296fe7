"""The service of rate limits that Envoy's authors wrote, built by Go from its module and counting in Redis, is asked by two edges about each
request: what it says is what their clients are told."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from everyhop.demo.stage import free_port
from tests.applications import peer
from tests.applications.signs_in import started
from tests.kit import Answer, EdgeKit, Pki, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.raw import OK, answering
from tests.kit.redis import Redis

LIMITS = """
domain: everyhop
descriptors:
  - key: each
    rate_limit: {unit: hour, requests_per_unit: 20}
"""
EDGE = """
[[store]]
name = "limits"
speaks = "envoy"
to = ["127.0.0.1:{service}"]
tls = "plaintext"
[[limit]]
name = "each"
rate = "1000/h"
by = ["header:x-who"]
store = "limits"
when_store_down = "refuse"
[[route]]
name = "shop"
host = "a.test"
tls = "plaintext"
to = ["127.0.0.1:{backend}"]
limited_by = ["each"]
"""


@pytest.fixture
def opened() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


def service(opened: contextlib.ExitStack, folder: Path, redis: Redis) -> int:
    config = folder / "limits" / "config"
    config.mkdir(parents=True)
    (config / "everyhop.yaml").write_text(LIMITS)
    ports = {name: free_port() for name in ("PORT", "GRPC_PORT", "DEBUG_PORT")}
    said = {"REDIS_SOCKET_TYPE": "tcp", "REDIS_URL": f"127.0.0.1:{redis.port('plaintext')}", "USE_STATSD": "false"}
    said |= {"RUNTIME_ROOT": str(folder), "RUNTIME_SUBDIRECTORY": "limits", "RUNTIME_WATCH_ROOT": "false"}
    said |= {"HOST": "127.0.0.1", "GRPC_HOST": "127.0.0.1", "DEBUG_HOST": "127.0.0.1", "LOG_LEVEL": "warn"}
    said |= {name: str(port) for name, port in ports.items()}
    command = ["env", *(f"{name}={value}" for name, value in said.items()), peer.ratelimit()]
    started(opened, command, folder, "ratelimit", ports["GRPC_PORT"])
    return ports["GRPC_PORT"]


def ask(edge: EdgeKit, pki: Pki, who: str) -> Answer:
    """Once the service had the time to say something."""

    def once() -> Answer | None:
        with tls(edge.port, "a.test", pki.public.file) as sock:
            answer = exchange(sock, f"GET / HTTP/1.1\r\nHost: a.test\r\nX-Who: {who}\r\n\r\n")
        return answer if answer.status != 503 else None

    return until(once, 60, lambda: str(edge.status()["stores"]))


def test_what_it_lets_pass_of_each_client_passes_by_both_edges_together_and_the_rest_is_told_when_to_come_again(
    opened: contextlib.ExitStack, pki: Pki, tmp_path: Path
) -> None:
    redis = Redis(pki, tmp_path)
    opened.callback(redis.close)
    backend = Raw(answering(OK))
    opened.callback(backend.close)
    text = EDGE.format(service=service(opened, tmp_path, redis), backend=backend.port)
    both = [EdgeKit(pki, text) for _ in range(2)]
    for one in both:
        opened.callback(one.close)
    answers = [ask(one, pki, "kim") for one in both * 15]
    passed = sum(it.status == 200 for it in answers)
    late = sum(one.status()["stores"][0]["late"] for one in both)
    assert 20 - late <= passed <= 20, "what it said too late it has counted"
    assert backend.received.count(b"GET / ") == passed
    last = answers[-1]
    assert last.status == 429 and last.headers["ratelimit-policy"] == '"each";q=20;w=3600'
    assert 1 <= int(last.headers["retry-after"]) <= 3600
    assert ask(both[0], pki, "ann").status == 200, "another client has its own"
    counted = redis.keys()
    assert any(key.startswith("everyhop_each_") for key in counted)


def test_without_its_redis_it_says_that_it_failed_and_nobody_passes_until_it_counts_again(
    opened: contextlib.ExitStack, pki: Pki, tmp_path: Path
) -> None:
    redis = Redis(pki, tmp_path)
    opened.callback(redis.close)
    backend = Raw(answering(OK))
    opened.callback(backend.close)
    edge = EdgeKit(pki, EDGE.format(service=service(opened, tmp_path, redis), backend=backend.port))
    opened.callback(edge.close)
    assert ask(edge, pki, "kim").status == 200
    redis.kill()
    mark = backend.mark()
    with tls(edge.port, "a.test", pki.public.file) as sock:
        answer = exchange(sock, "GET / HTTP/1.1\r\nHost: a.test\r\nX-Who: kim\r\n\r\n")
    assert (answer.status, "request/limit-unknown" in answer.text, backend.since(mark)) == (503, True, [])
    redis.begin()
    assert ask(edge, pki, "kim").status == 200

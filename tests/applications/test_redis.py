"""redis-py against Redis of Debian: the edge ends TLS and reads none of it (`protocol = "tcp"`), or passes it through."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from everyhop.demo.stage import free_port
from tests.applications import peer
from tests.applications.catalogue import PATTERNS
from tests.applications.lab import SITE, application_leaf, routes
from tests.kit import EdgeKit, Pki
from tests.kit.edge import until
from tests.suites.peers import is_up


def server(folder: Path, way: str, port: int, **files: Path) -> subprocess.Popen[bytes]:
    (folder / way).mkdir()
    said = ["--bind", "127.0.0.1", "--save", "", "--dir", folder / way]
    if way == "plain":
        said += ["--port", port]
    else:
        said += ["--port", 0, "--tls-port", port, "--tls-cert-file", files["chain"], "--tls-key-file", files["key"]]
        said += ["--tls-ca-cert-file", files["clients"], "--tls-auth-clients", "yes" if way == "mutual" else "no"]
    return subprocess.Popen([peer.found("redis-server"), *map(str, said)], stdout=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def front(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeKit]:
    folder, leaf = tmp_path_factory.mktemp("redis"), application_leaf(pki)
    files = {"chain": leaf.chain, "key": leaf.key, "clients": pki.internal.file}
    ports = {way: free_port() for way in ("plain", "tls", "mutual")}
    running = [server(folder, way, port, **files) for way, port in ports.items()]
    try:
        until(lambda: all(map(is_up, ports.values())), 60)
        it = EdgeKit(pki, SITE + routes("redis", ports, patterns=PATTERNS, more='protocol = "tcp"\n'), threads=2)
        yield it
        it.close()
    finally:
        for one in running:
            one.terminate()
            one.wait(30)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_pipelines_transactions_queues_and_subscriptions_work_in_both_versions_of_the_protocol(
    front: EdgeKit, pki: Pki, pattern: str
) -> None:
    told = peer.ask(peer.python("redis_ask.py", pki.public.file, f"redis.{pattern}.test", front.port))
    right = {
        "large": True,
        "several": [4000, sum(range(1, 2001)), "seen"],
        "handed": ["queue", "handed over"],
        "heard": True,
        "stream": 4,
        "wrong": "WRONGTYPE pong",
    }
    assert told == {"2": right, "3": right, "at once": 50}
    line = front.line(lambda line: line["route"] == f"redis-{pattern}" and line["bytes_in"] > 4 << 20, 30)
    assert line["client_hop"]["tls"] == ("passed" if pattern == "passthrough" else "ended")
    assert pattern != "mutual" or line["backend_hop"]["identity"] == "demanded"

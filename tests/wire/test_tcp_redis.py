"""Redis of Debian behind `protocol = "tcp"`: its own client speaks TLS with the edge, and the server believes the edge alone."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Pki
from tests.kit.edge import until
from tests.suites.peers import is_up
from tests.wire.test_tcp import is_end, route, site

Edges = Callable[..., EdgeKit]


@pytest.fixture(scope="module", autouse=True)
def leaf(pki: Pki) -> None:
    pki.public.leaf("streams", "mq.test", "db.test", "*.s.test")


@pytest.fixture
def redis(pki: Pki, tmp_path: Path) -> Iterator[dict[str, int]]:
    """Its ports: in the clear, and with TLS that demands a certificate."""
    if shutil.which("redis-server") is None or shutil.which("redis-cli") is None:
        pytest.skip("redis-server and redis-tools of Debian are not installed")
    ports = {"plaintext": free_port(), "mutual": free_port()}
    said = ["--port", ports["plaintext"], "--tls-port", ports["mutual"], "--bind", "127.0.0.1", "--save", ""]
    said += ["--tls-cert-file", pki.backend.chain, "--tls-key-file", pki.backend.key, "--dir", tmp_path]
    said += ["--tls-ca-cert-file", pki.internal.file, "--tls-auth-clients", "yes"]
    server = subprocess.Popen(["redis-server", *map(str, said)], stdout=subprocess.DEVNULL)
    try:
        until(lambda: all(map(is_up, ports.values())) or None, 30)
        yield ports
    finally:
        server.terminate()
        server.wait(30)


@pytest.mark.parametrize("pattern", ["mutual", "plaintext"])
def test_redis_cli_reads_what_it_wrote_through_the_edge(
    edge: Edges, pki: Pki, redis: dict[str, int], pattern: str
) -> None:
    it = edge(route(redis[pattern], tls=pattern) + site())
    command = ["redis-cli", "-h", "127.0.0.1", "-p", str(it.port), "--tls", "--sni", "mq.test"]
    command += ["--cacert", str(pki.public.file)]

    def said(*words: str) -> str:
        done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done
        return done.stdout

    large = "x" * 100_000
    assert said("SET", "key", large) == "OK\n"
    assert said("GET", "key") == f"{large}\n"
    line = it.line(is_end)
    assert line["pattern"] == pattern and line["client_hop"]["tls"] == "ended"
    if pattern == "mutual":
        assert line["backend_hop"]["identity"] == "demanded"
        alone = ["redis-cli", "-p", str(redis["mutual"]), "--tls", "--cacert", str(pki.internal.file), "PING"]
        done = subprocess.run(alone, capture_output=True, text=True, timeout=60, check=False)
        assert "PONG" not in done.stdout, "who does not prove to be the edge gets nothing"

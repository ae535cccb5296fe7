"""The Docker registry (distribution), as Debian has it, with the client that crane is made of: push, pull, list.

The registry sends its clients on to addresses that it makes of Host and X-Forwarded-Proto: only right ones lead back through the edge.
"""

from __future__ import annotations

import json
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

CONFIGURATION = """
version: 0.1
log: {{ accesslog: {{ disabled: true }}, level: error }}
storage: {{ filesystem: {{ rootdirectory: {folder}/{way} }}, cache: {{ blobdescriptor: inmemory }} }}
http:
  addr: 127.0.0.1:{port}
  secret: the same for all
{tls}
"""


def registry(folder: Path, way: str, port: int, **files: Path) -> subprocess.Popen[bytes]:
    tls = ""
    if way != "plain":
        tls = f"  tls:\n    certificate: {files['chain']}\n    key: {files['key']}\n"
    if way == "mutual":
        tls += f"    clientcas: [{files['clients']}]\n"
    (folder / f"{way}.yml").write_text(CONFIGURATION.format(folder=folder, way=way, port=port, tls=tls))
    command = [peer.found("docker-registry"), "serve", str(folder / f"{way}.yml")]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def front(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeKit]:
    folder, leaf = tmp_path_factory.mktemp("registry"), application_leaf(pki)
    files = {"chain": leaf.chain, "key": leaf.key, "clients": pki.internal.file}
    ports = {way: free_port() for way in ("plain", "tls", "mutual")}
    running = [registry(folder, way, port, **files) for way, port in ports.items()]
    try:
        until(lambda: all(map(is_up, ports.values())), 60)
        it = EdgeKit(pki, SITE + routes("images", ports, patterns=PATTERNS), threads=2)
        yield it
        it.close()
    finally:
        for one in running:
            one.terminate()
            one.wait(10)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_an_image_is_pushed_and_pulled(front: EdgeKit, pki: Pki, pattern: str) -> None:
    reference = f"images.{pattern}.test:{front.port}/of/{pattern}:latest"
    command = peer.go("image", pki.public.file, reference)
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["pushed"] == told["pulled"] and told["bytes"] > 3 * (2 << 20) and told["tags"] == ["latest"], told

"""What runs something in a container and talks with it: a request with what to run, and then a tunnel that is no WebSocket.

Docker switches to `tcp`, Kubernetes to `SPDY/3.1`; both take the connection out of Go's net/http, and end its halves apart.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.applications import peer
from tests.applications.catalogue import PATTERNS
from tests.applications.lab import SITE, application_leaf, routes
from tests.applications.peer import Peer
from tests.kit import EdgeKit, Pki

WHAT = '{"Cmd":["wc","-c"]}'
TERMINATING = tuple(pattern for pattern in PATTERNS if pattern != "passthrough")


@pytest.fixture(scope="module")
def front(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeKit]:
    leaf = application_leaf(pki)
    server = Peer(peer.go("runs", leaf.chain, leaf.key, pki.internal.file), tmp_path_factory.mktemp("exec"))
    try:
        ports = server.read()["ports"]
        passing = 'upgrades = ["tcp", "SPDY/3.1"]\n'
        text = (
            SITE + routes("exec", ports, patterns=PATTERNS, more=passing) + routes("web", ports, patterns=TERMINATING)
        )
        it = EdgeKit(pki, text, threads=2)
        yield it
        it.close()
    finally:
        server.close()


def run(front: EdgeKit, host: str, protocol: str, n: int, ca: Path) -> dict[str, Any]:
    command = peer.go("exec", ca, f"https://{host}:{front.port}/run", protocol, WHAT, n)
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("protocol", ["tcp", "SPDY/3.1"])
def test_a_program_gets_all_of_its_input_and_answers_behind_its_end(
    front: EdgeKit, pki: Pki, pattern: str, protocol: str
) -> None:
    for n in (0, 16, 4 << 20):
        digest = hashlib.sha256(b"0123456789abcdef" * (n // 16)).hexdigest()
        it = run(front, f"exec.{pattern}.test", protocol, n, pki.public.file)
        assert it == {"status": 101, "upgrade": protocol, "told": f"{WHAT} {n} {digest}"}


@pytest.mark.parametrize("pattern", TERMINATING)
def test_a_route_that_does_not_list_it_refuses_it(front: EdgeKit, pki: Pki, pattern: str) -> None:
    for protocol in ("tcp", "SPDY/3.1"):
        assert run(front, f"web.{pattern}.test", protocol, 16, pki.public.file) == {"status": 400, "upgrade": ""}
    assert run(front, f"exec.{pattern}.test", "SPDY/3", 16, pki.public.file) == {"status": 400, "upgrade": ""}

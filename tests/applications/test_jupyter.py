"""Cells run in Jupyter's kernels: REST to start, interrupt and end one, a WebSocket for all that it says."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.applications import peer
from tests.applications.catalogue import PATTERNS
from tests.applications.lab import SITE, application_leaf, routes
from tests.applications.peer import Peer
from tests.kit import EdgeKit, Pki


@pytest.fixture(scope="module")
def front(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeKit]:
    folder, leaf = tmp_path_factory.mktemp("jupyter"), application_leaf(pki)
    it = Peer(peer.python("jupyter.py", "serve", folder, leaf.chain, leaf.key, pki.internal.file), folder)
    try:
        ports = it.read()["ports"]
        front = EdgeKit(pki, SITE + routes("jupyter", ports, patterns=PATTERNS), threads=2)
        yield front
        front.close()
    finally:
        it.close()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_cells_run_print_much_are_interrupted_and_go_on(front: EdgeKit, pki: Pki, pattern: str) -> None:
    command = peer.python("jupyter.py", "ask", pki.public.file, f"https://jupyter.{pattern}.test:{front.port}")
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert told["sum"] == {"out": "42\n", "ended": ""}
    assert told["much"] == 3_000_001
    assert told["interrupted"] == {"out": "now\n", "ended": "KeyboardInterrupt"}
    assert told["after"] == {"out": "still here\n", "ended": ""}
    assert told["ended"] == 204

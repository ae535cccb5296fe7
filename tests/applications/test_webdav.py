"""litmus, the suite of WebDAV clients' needs, against WsgiDAV: methods, Destination, locks, properties, odd names."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.applications import peer
from tests.applications.catalogue import PATTERNS
from tests.applications.lab import VERIFY, accepted, application_leaf
from tests.applications.peer import Peer
from tests.kit import EdgeKit, Pki

# litmus connects to where the name leads, so it is one name that leads here everywhere.
HOST = "localhost"
SUITES = ("basic", "copymove", "props", "locks", "http")


@pytest.fixture(scope="module")
def ports(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    folder, leaf = tmp_path_factory.mktemp("webdav"), application_leaf(pki)
    it = Peer(peer.python("wsgi.py", "webdav", folder, leaf.chain, leaf.key, pki.internal.file), folder)
    try:
        yield it.read()["ports"]
    finally:
        it.close()


def route(pattern: str, ports: dict[str, int]) -> str:
    port = ports[{"plaintext": "plain", "mutual": "mutual"}.get(pattern, "tls")]
    out = f'[[route]]\nname = "webdav"\nhost = "{HOST}"\ntls = "{pattern}"\nto = ["127.0.0.1:{port}"]\n'
    if pattern == "passthrough":
        return out
    out += {"mutual": VERIFY + 'present = "edge"\n', "reencrypt": VERIFY, "plaintext": accepted()}[pattern]
    files = 'chain = "{pki}/here.pem", key = "file:{pki}/here.key"'
    return f'[[site]]\nname = "here"\nhosts = ["{HOST}"]\ncerts = [{{ {files} }}]\n{out}'


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_case_of_litmus_passes(ports: dict[str, int], pki: Pki, tmp_path: Path, pattern: str) -> None:
    pki.public.leaf("here", HOST)
    front = EdgeKit(pki, route(pattern, ports), threads=2)
    try:
        command = [peer.found("litmus"), "-k", f"https://{HOST}:{front.port}/"]
        clean = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TESTS": " ".join(SUITES)}
        done = subprocess.run(
            command, cwd=tmp_path, env=clean, capture_output=True, text=True, timeout=200, check=False
        )
    finally:
        front.close()
    told = re.findall(r"summary for `(\w+)': of (\d+) tests run: (\d+) passed, (\d+) failed", done.stdout)
    assert [name for name, *_ in told] == list(SUITES), done.stdout + done.stderr
    failed = re.findall(r".*FAIL.*", done.stdout)
    assert not failed and all(run == passed for _, run, passed, _ in told), (failed, told)

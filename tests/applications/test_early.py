"""A final answer before the request's end, to clients that send 30 MB: each reads it. Its bytes are in `tests/wire/test_early.py`."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from everyhop.demo.stage import free_port
from tests.applications import curl, peer
from tests.applications.catalogue import CLIENTS
from tests.applications.lab import Lab
from tests.kit import EdgeKit, Pki, Raw
from tests.wire.test_early import AFTER, says_no

SIZE, TIMES = 30_000_000, 3
STAYS, CLOSES = "reads nothing more and stays", "closes over what was not read"
ANSWERS = {"stays": 413, "closes": 413, "nobody": 502}
"""By what the backend does behind its answer; the last one is not there at all."""
SITE = """
[[site]]
name = "early"
hosts = ["*.early.test"]
certs = [{ chain = "{pki}/early.pem", key = "file:{pki}/early.key" }]
"""
ROUTE = '[[route]]\nname = "{end}"\nhost = "{end}.early.test"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n'


@pytest.fixture(scope="module")
def front(pki: Pki) -> Iterator[EdgeKit]:
    pki.public.leaf("early", "*.early.test")
    backends = {"stays": Raw(says_no(AFTER[STAYS])), "closes": Raw(says_no(AFTER[CLOSES]))}
    ports = {end: it.port for end, it in backends.items()} | {"nobody": free_port()}
    text = "".join(ROUTE.format(end=end, port=port) for end, port in ports.items())
    # A client that is slow on a busy machine has its time.
    it = EdgeKit(pki, SITE + text, more="[limits]\nlinger_s = 120\n", threads=2)
    yield it
    it.close()
    for one in backends.values():
        one.close()


@pytest.mark.parametrize("end", ANSWERS)
@pytest.mark.parametrize("client", CLIENTS)
def test_who_sends_30_megabytes_reads_the_answer_that_came_before_their_end(
    lab: Lab, front: EdgeKit, client: str, end: str
) -> None:
    """F04."""
    if CLIENTS[client].needs:
        peer.needs_node()
    url = f"https://{end}.early.test:{front.port}/up"
    # Given all of it at once, httpx copies what is left for each frame of HTTP/2: that takes it many seconds.
    job = {"method": "PUT", "size": SIZE, "chunked": client == "httpx-h2"}
    for _ in range(TIMES):
        if CLIENTS[client].peer == "curl":
            answer = curl.ask(client, front.pki.public.file, url, **job)
        else:
            answer = lab.do(client, "ask", url, **job)
        assert answer["status"] == ANSWERS[end], answer


@pytest.mark.parametrize("end", ANSWERS)
def test_nghttp_reads_it_too(front: EdgeKit, tmp_path: Path, end: str) -> None:
    """F04."""
    body = tmp_path / "body"
    body.write_bytes(bytes(SIZE))
    # It takes the server's name from `:authority`, and connects to where the address says.
    command = [peer.found("nghttp"), "-nv", "--no-dep", "-H", ":method: PUT", "-d", str(body)]
    command += ["-H", f":authority: {end}.early.test", f"https://127.0.0.1:{front.port}/up"]
    for _ in range(TIMES):
        done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
        assert re.findall(r":status: (\d+)", done.stdout) == [str(ANSWERS[end])], done.stdout + done.stderr

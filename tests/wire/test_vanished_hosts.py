"""A backend's host that vanishes, as by a power cut: nothing refuses, nothing answers, and what is sent is acknowledged by nobody.

It costs the requests that find it out; from then on none, until it is there again."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Pki, exchange, tls
from tests.kit.edge import until
from tests.kit.island import Island

Edges = Callable[..., EdgeKit]
GET = "GET / HTTP/1.1\r\nHost: b.test\r\n\r\n"
NGINX = """
daemon off; master_process off; pid {folder}/{name}.pid; error_log {folder}/{name}.log;
events {{ }}
http {{ access_log off; ssl_certificate {folder}/backend.pem; ssl_certificate_key {folder}/backend.key;
  server {{ listen {address}:{port} ssl http2; keepalive_timeout 600; location / {{ return 200 "{name}"; }} }} }}
"""
ROUTE = """
[[route]]
name = "r"
host = "b.test"
tls = "reencrypt"
to = ["{island}", "{here}"]
verify = {{ ca = "{{pki}}/internal-ca.pem", name = "backend.internal" }}
upstream_protocol = "{protocol}"
"""
LIMITS = "[limits]\neject_after = 2\neject_s = 1\nconnect_s = 1\nfirst_byte_s = 2\nupstream_idle_s = 60\n"


@contextlib.contextmanager
def nginx(pki: Pki, name: str, address: str, start: Callable[..., subprocess.Popen[bytes]]) -> Iterator[str]:
    """Answers with its name."""
    if shutil.which("nginx") is None:
        pytest.skip("nginx is not here")
    port, folder = free_port(), pki.folder
    (folder / f"{name}.conf").write_text(NGINX.format(folder=folder, name=name, address=address, port=port))
    command = ["nginx", "-c", str(folder / f"{name}.conf"), "-e", str(folder / f"{name}.log")]
    server = start(command, stderr=subprocess.DEVNULL)

    def listens() -> bool | None:
        with contextlib.suppress(OSError), socket.create_connection((address, port), 1):
            return True
        return None

    try:
        until(listens)
        yield f"{address}:{port}"
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def island() -> Iterator[Island]:
    it = Island()
    try:
        yield it
    finally:
        it.close()


def answers(it: EdgeKit, pki: Pki, count: int) -> list[Any]:
    """Who answered, or the status where nobody did."""
    got = []
    for _ in range(count):
        with tls(it.port, "b.test", pki.public.file) as sock:
            answer = exchange(sock, GET)
            got.append(answer.body.decode() if answer.status == 200 else answer.status)
    return got


@pytest.mark.parametrize("protocol", ["http/1.1", "h2"])
def test_a_host_that_vanishes_costs_the_requests_that_find_it_out_and_no_other(
    edge: Edges, pki: Pki, island: Island, protocol: str
) -> None:
    """The connection that was kept to it is dead as well, and takes no second request."""
    with (
        nginx(pki, "island", island.address, island.run) as there,
        nginx(pki, "here", "127.0.0.1", subprocess.Popen) as here,
    ):
        it = edge(ROUTE.format(island=there, here=here, protocol=protocol), more=LIMITS)

        def state(wanted: str) -> None:
            until(lambda: it.status()["routes"][0]["backends"][0]["state"] == wanted or None)

        assert sorted(answers(it, pki, 6)) == ["here"] * 3 + ["island"] * 3
        island.vanish()
        found_out = answers(it, pki, 8)
        assert found_out.count(504) <= 2 and set(found_out) <= {504, "here"}, found_out
        state("ejected")
        assert answers(it, pki, 6) == ["here"] * 6
        island.back()
        state("up")
        assert set(answers(it, pki, 6)) == {"here", "island"}

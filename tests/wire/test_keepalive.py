"""A tunnel on which nothing moves is known to be there: the kernel asks both sides of it, so that nobody between forgets it
and a peer that vanished without a word is noticed."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit import EdgeKit, Pki, Raw, tls
from tests.kit.edge import until
from tests.kit.raw import Record
from tests.wire.test_tunnel_ends import ASKED, Tunnel

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

MINUTE = 60 * 100
"""In the hundredths of a second that the kernel tells its timers in."""
KEEPALIVE = "02"


def asked_within(here: int, there: int) -> int | None:
    """In which time the kernel asks the peer of the connection between those ports; nothing where it does not."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, _, timer, *_ = line.split()
        kind, _, left = timer.partition(":")
        ports = (int(local.partition(":")[2], 16), int(remote.partition(":")[2], 16))
        if ports == (here, there) and state == "01" and kind == KEEPALIVE:
            return int(left, 16)
    return None


@pytest.mark.parametrize("pattern", ["passthrough", "plaintext"])
def test_both_sides_of_a_tunnel_are_asked_by_the_kernel_within_a_minute(
    edge: Edges, raw: Raws, pki: Pki, pattern: str
) -> None:
    peers: list[int] = []
    opens = Tunnel("the client")

    def script(sock: socket.socket, record: Record) -> None:
        peers.append(sock.getpeername()[1])
        opens(sock, record)

    through = pattern == "passthrough"
    backend = raw(script, *[pki.public.leaf("through", "t.test")] * through)
    host = "t.test" if through else "a.test"
    it = edge(f'[[route]]\nname = "r"\nhost = "{host}"\ntls = "{pattern}"\nto = ["127.0.0.1:{backend.port}"]\n')
    with tls(it.port, host, pki.public.file) as sock:
        sock.sendall(ASKED)
        said = b""
        while not said.endswith(b"hi"):  # what a session says first, such as its tickets, is no answer yet
            said += (more := sock.recv(4096))
            assert more, said
        mine = sock.getsockname()[1]
        for here, there in ((it.port, mine), (peers[0], backend.port)):
            assert until(lambda here=here, there=there: asked_within(here, there)) <= MINUTE + 100  # type: ignore[misc]

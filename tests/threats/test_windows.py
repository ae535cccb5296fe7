"""Windows of HTTP/2 are as wide as the way is long: they grow where a peer is far and fills them, and nowhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.kit import EdgeKit, Pki, Raw, tls
from tests.kit.edge import until
from tests.kit.h2_backend import H2Backend
from tests.threats.frames import ACK, DATA, END_HEADERS, HEADERS, PING, SETTINGS, Client, fields, frame
from tests.threats.test_http2_backends import at_its_end, route

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
Frames = Iterator[tuple[int, int, int, bytes]]


def window(body: bytes) -> int | None:
    """Of each stream, if these settings name it."""
    pairs = [body[at : at + 6] for at in range(0, len(body), 6)]
    return next((int.from_bytes(it[2:], "big") for it in pairs if it[:2] == b"\0\4"), None)


def passes(moment: float) -> None:
    until(lambda: time.monotonic() > moment or None)


def ping(frames: Frames) -> bytes:
    return next(body for kind, flags, _, body in frames if kind == PING and not flags & ACK)


@pytest.mark.parametrize("way_s", [0.01, 0.05])
def test_the_windows_of_a_client_that_is_far_away_grow_to_the_connections_own(
    edge: Edges, raw: Raws, pki: Pki, way_s: float
) -> None:
    """F10."""
    it = edge(route(raw(H2Backend(at_its_end)).port))
    with tls(it.port, "a.test", pki.public.file, alpn=["h2"]) as sock:
        sock.settimeout(20)
        client = Client(sock)
        client.send(frame(HEADERS, fields("a.test", method=b"POST"), flags=END_HEADERS, stream=1))
        frames = client.read()
        assert window(next(body for kind, _, _, body in frames if kind == SETTINGS)) == 65_536
        found, sent = 65_536, 0
        while found < 1_048_576:
            # As much as the windows allow: what was sent before was taken.
            for _ in range(3):
                client.send(frame(DATA, bytes(16_000), stream=1))
                sent += 16_000
            asked = ping(frames)
            arrives = time.monotonic() + way_s
            for _ in range(found // 65_536 * 2 + 1):
                client.send(frame(DATA, bytes(16_000), stream=1))
            passes(arrives)
            client.send(frame(PING, asked, flags=ACK))
            wider = next(w for kind, flags, _, body in frames if kind == SETTINGS and (w := window(body)))
            assert wider == min(found * 4, 1_048_576)
            found = wider

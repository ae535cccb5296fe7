"""Slow clients in a process of their own, so that those who are measured do not wait for the ones who open them:
`python -m tests.promises.slow PORT CA COUNT RATE`. Each begins and goes no further. Prints how old each was when it was
closed, in seconds, as JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import ssl
import sys
import time
from pathlib import Path

from tests.kit import hello_bytes, tls

PATIENCE_S = 60.0


def main(port: int, ca: Path, count: int, rate: float) -> None:
    # An attacker brings a machine of its own; here it takes the time that the others leave.
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    hello = hello_bytes("a.test")[:100]
    looking, opened, ages = selectors.DefaultSelector(), dict[socket.socket, float](), list[float]()
    began = time.monotonic()
    for n in range(count):
        # Some get through the handshake and are slow at their request's head.
        greeted = n % 100 == 0
        since = time.monotonic()
        sock = tls(port, "a.test", ca) if greeted else socket.create_connection(("127.0.0.1", port), 20)
        # From before the edge could begin to count, however late this process is: nobody is older than it says.
        opened[sock] = time.monotonic() if greeted else since
        sock.sendall(b"GET / HTTP/1.1\r\nHo" if greeted else hello)
        sock.setblocking(False)
        looking.register(sock, selectors.EVENT_READ)
        if n % 50 == 0:
            look(looking, opened, ages, max(0.0, began + n / rate - time.monotonic()))
    last = time.monotonic()
    while opened and time.monotonic() < last + PATIENCE_S:
        look(looking, opened, ages, 1.0)
    print(json.dumps(ages))


def look(
    looking: selectors.BaseSelector, opened: dict[socket.socket, float], ages: list[float], seconds: float
) -> None:
    end = time.monotonic() + seconds
    while True:
        for key, _ in looking.select(max(0.0, end - time.monotonic())):
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            if not waits(sock):
                ages.append(time.monotonic() - opened.pop(sock))
                looking.unregister(sock)
                # With a reset: no TIME_WAIT stays behind ten thousand of them.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                sock.close()
        if time.monotonic() >= end:
            return


def waits(sock: socket.socket) -> bool:
    """Nothing came but what belongs to TLS itself, such as tickets."""
    try:
        sock.recv(4096)
    except (BlockingIOError, ssl.SSLWantReadError):
        return True
    except OSError:
        pass
    return False


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))

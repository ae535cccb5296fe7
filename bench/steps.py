"""A client that takes one step at a time: nothing is sent before every thread of the engine sleeps, so that each turn of
its loop is told of one event, however slow the machine is. It measures no time. Read next: `guard.py`.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, ResponseReceived, StreamEnded

from bench.subjects import NAMES, Subject

BODY = 256
WINDOW = 2**31 - 1
"""The largest (RFC 9113 §6.9.1): no window is opened anew while requests are counted."""

Go = Callable[[int], None]
"""Does so many requests."""
Begin = Callable[[Path, Subject, "Sleep"], contextlib.AbstractContextManager[Go]]


class Sleep:
    """Knows when a process has nothing left to do: all its threads sleep, in the kernel's own words."""

    def __init__(self, pid: int) -> None:
        self.files = [os.open(task / "stat", os.O_RDONLY) for task in Path(f"/proc/{pid}/task").iterdir()]

    def wait(self) -> None:
        # Twice, since one thread may hand over to another between two looks.
        while not (self.is_deep() and self.is_deep()):
            os.sched_yield()

    def is_deep(self) -> bool:
        return all(os.pread(file, 4096, 0).rpartition(b") ")[2].startswith(b"S") for file in self.files)

    def close(self) -> None:
        for file in self.files:
            os.close(file)


def connect(folder: Path, subject: Subject, pattern: str, sleep: Sleep, alpn: str) -> ssl.SSLSocket:
    """A full handshake."""
    context = ssl.create_default_context(cafile=str(folder / "bench-ca.pem"))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_ecdh_curve("X25519")
    context.set_alpn_protocols([alpn])
    raw = socket.create_connection(("127.0.0.1", subject.ports[pattern]), 60)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sleep.wait()
    tls = context.wrap_socket(raw, server_hostname=NAMES.get(pattern, NAMES["plaintext"]))
    # The tickets come by themselves.
    sleep.wait()
    return tls


def leave(tls: ssl.SSLSocket, sleep: Sleep) -> None:
    with contextlib.suppress(OSError):
        tls = tls.unwrap()  # type: ignore[assignment]
    sleep.wait()
    tls.close()
    sleep.wait()


def ask(tls: ssl.SSLSocket, pattern: str, sleep: Sleep) -> None:
    tls.sendall(b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % NAMES[pattern].encode())
    got = b""
    while not got.endswith(b"x" * BODY):
        more = tls.recv(65536)
        if not more:
            raise SystemExit(f"no answer: {got!r}")
        got += more
    if not got.startswith(b"HTTP/1.1 200 "):
        raise SystemExit(f"a wrong answer: {got!r}")
    sleep.wait()


def http1(pattern: str) -> Begin:
    @contextlib.contextmanager
    def begin(folder: Path, subject: Subject, sleep: Sleep) -> Iterator[Go]:
        with connect(folder, subject, pattern, sleep, "http/1.1") as tls:

            def go(count: int) -> None:
                for _ in range(count):
                    ask(tls, pattern, sleep)

            yield go

    return begin


def handshakes(pattern: str) -> Begin:
    """A request a connection."""

    @contextlib.contextmanager
    def begin(folder: Path, subject: Subject, sleep: Sleep) -> Iterator[Go]:
        def go(count: int) -> None:
            for _ in range(count):
                tls = connect(folder, subject, pattern, sleep, "http/1.1")
                ask(tls, pattern, sleep)
                leave(tls, sleep)

        yield go

    return begin


def http2(pattern: str) -> Begin:
    @contextlib.contextmanager
    def begin(folder: Path, subject: Subject, sleep: Sleep) -> Iterator[Go]:
        name = NAMES[pattern]
        fields = [(":method", "GET"), (":scheme", "https"), (":authority", name), (":path", "/")]
        it = H2Connection(H2Configuration())
        with connect(folder, subject, pattern, sleep, "h2") as tls:

            def send() -> None:
                tls.sendall(it.data_to_send())
                sleep.wait()

            def go(count: int) -> None:
                for _ in range(count):
                    stream = it.get_next_available_stream_id()
                    it.send_headers(stream, fields, end_stream=True)
                    send()
                    told: list[Event] = []
                    while not any(isinstance(event, StreamEnded) for event in told):
                        got = tls.recv(65536)
                        told += it.receive_data(got)
                        if not got or it.data_to_send():
                            raise SystemExit(f"no answer: {told}")
                    status = [dict(e.headers or ())[b":status"] for e in told if isinstance(e, ResponseReceived)]
                    body = b"".join(e.data or b"" for e in told if isinstance(e, DataReceived))
                    if status != [b"200"] or body != b"x" * BODY:
                        raise SystemExit(f"a wrong answer: {told}")
                    sleep.wait()

            it.initiate_connection()
            it.increment_flow_control_window(WINDOW - 65535)
            send()
            # Its settings, and ours acknowledged.
            it.receive_data(tls.recv(65536))
            send()
            yield go

    return begin

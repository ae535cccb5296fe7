"""A backend that records every byte of each connection and answers by a script, perhaps over TLS."""

from __future__ import annotations

import contextlib
import fcntl
import select
import socket
import ssl
import sys
import termios
import threading
from collections.abc import Callable
from pathlib import Path

from everyhop.demo.certificates import Leaf


class Record(bytearray):
    """What one connection brought, and whether anything of it is still on its way to here."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()
        self.sock: socket.socket | None = None
        self.waits = self.ended = False

    def take(self, sock: socket.socket, count: int) -> bytes:
        """Up to `count` more bytes; they are taken and recorded in one step for whoever looks."""
        self.wait(sock)
        with self.lock:
            data = sock.recv(count)
            self += data
            self.waits = False
        return data

    def wait(self, sock: socket.socket) -> None:
        """Until there is something to take, or the end, or the socket's own timeout."""
        with self.lock:
            self.sock = sock
            self.waits = not (isinstance(sock, ssl.SSLSocket) and sock.pending())
        if self.waits:
            readable(sock, sock.gettimeout())

    def is_at_rest(self) -> bool:
        """Everything that came is here, and the script waits for more, or there will be no more."""
        if self.ended:
            return True
        if not self.lock.acquire(blocking=False):
            return False
        try:
            return self.waits and self.sock is not None and unread(self.sock) == 0
        finally:
            self.lock.release()


def readable(sock: socket.socket, timeout_s: float | None) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(None if timeout_s is None else timeout_s * 1000))


def unread(sock: socket.socket) -> int:
    """Bytes that the kernel holds for it."""
    if sock.fileno() < 0:
        return 0
    return int.from_bytes(fcntl.ioctl(sock.fileno(), termios.FIONREAD, bytes(4)), sys.byteorder)


Script = Callable[[socket.socket, Record], None]
Mark = list[int]


def server_context(leaf: Leaf, *, clients: Path | None = None, alpn: list[str] | None = None) -> ssl.SSLContext:
    """A server's side of TLS, that demands a certificate of `clients` if they are named."""
    it = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    it.load_cert_chain(leaf.chain, leaf.key)
    if clients is not None:
        it.load_verify_locations(clients)
        it.verify_mode = ssl.CERT_REQUIRED
    if alpn:
        it.set_alpn_protocols(alpn)
    return it


class Raw:
    """`script` gets each connection after accept (and handshake) with the record of what it received."""

    def __init__(
        self,
        script: Script,
        leaf: Leaf | None = None,
        *,
        clients: Path | None = None,
        alpn: list[str] | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.script = script
        self.records: list[Record] = []
        self.failures: list[Exception] = []
        self.context = None if leaf is None else server_context(leaf, clients=clients, alpn=alpn)
        self.lock = threading.Lock()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = socket.create_server((host, 0), family=family, backlog=128)
        self.port: int = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self) -> None:
        with contextlib.suppress(OSError):
            while readable(self.listener, None):
                with self.lock:
                    sock, _ = self.listener.accept()
                    record = Record()
                    self.records.append(record)
                threading.Thread(target=self.serve, args=(sock, record), daemon=True).start()

    def serve(self, sock: socket.socket, record: Record) -> None:
        sock.settimeout(20)
        try:
            record.sock = spoken = self.context.wrap_socket(sock, server_side=True) if self.context else sock
        except OSError as e:
            self.failures.append(e)
            sock.close()
            record.ended = True
            return
        with contextlib.suppress(OSError), spoken:
            self.script(spoken, record)
        record.ended = True

    @property
    def received(self) -> bytes:
        """Everything from all connections."""
        return b"".join(bytes(r) for r in list(self.records))

    def is_at_rest(self) -> bool:
        """Every byte that was sent here is in its record. Only for scripts that read by `Record.take`."""
        if not self.lock.acquire(blocking=False):
            return False
        try:
            return not readable(self.listener, 0) and all(r.is_at_rest() for r in self.records)
        finally:
            self.lock.release()

    def mark(self) -> Mark:
        return [len(r) for r in list(self.records)]

    def since(self, mark: Mark) -> list[bytes]:
        """What came after a mark, each connection's by itself."""
        fresh = (bytes(r[mark[i] if i < len(mark) else 0 :]) for i, r in enumerate(list(self.records)))
        return [data for data in fresh if data]

    def close(self) -> None:
        with contextlib.suppress(OSError):
            # Closing alone wakes nobody who waits for it.
            self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join(10)
        self.listener.close()
        for record in self.records:
            with contextlib.suppress(OSError):
                if record.sock is not None:
                    socket.socket.shutdown(record.sock, socket.SHUT_RDWR)


def take(sock: socket.socket, record: bytearray, count: int) -> bytes:
    """Up to `count` more bytes, recorded."""
    if isinstance(record, Record):
        return record.take(sock, count)
    data = sock.recv(count)
    record += data
    return data


def head(sock: socket.socket, record: bytearray) -> bytes | None:
    """The next request head, recorded; `None` at the end of the connection. Bytes behind it stay for `rest`."""
    start = len(record)
    while b"\r\n\r\n" not in record[start:]:
        if not take(sock, record, ahead(sock, record, start)):
            return None
    return bytes(record[start:])


def ahead(sock: socket.socket, record: bytearray, start: int) -> int:
    """How many bytes may be taken at once without going behind a head's end; TLS does not say beforehand."""
    if isinstance(sock, ssl.SSLSocket) or not isinstance(record, Record):
        return 1
    record.wait(sock)
    tail = bytes(record[max(start, len(record) - 3) :])
    found = tail + sock.recv(65536, socket.MSG_PEEK)
    end = found.find(b"\r\n\r\n")
    return (end + 4 if end >= 0 else len(found)) - len(tail) or 1


def rest(sock: socket.socket, record: bytearray, count: int) -> bytes:
    """Exactly `count` more bytes, recorded."""
    data = bytearray()
    while len(data) < count:
        more = take(sock, record, count - len(data))
        if not more:
            break
        data += more
    return bytes(data)


def whole(sock: socket.socket, record: bytearray) -> bytes | None:
    """The next request to its end, recorded, also in chunks; gives its head, or `None` at the end of the connection. Who answers before
    that end, and takes what follows for the next head, has an answer too many."""
    got = head(sock, record)
    if got is None:
        return None
    fields = dict(line.lower().partition(": ")[::2] for line in got.decode("latin-1").split("\r\n"))
    if "chunked" not in fields.get("transfer-encoding", ""):
        rest(sock, record, int(fields.get("content-length") or 0))
        return got
    while size := int(line_of(sock, record) or b"0", 16):
        rest(sock, record, size + 2)
    while line_of(sock, record).strip():
        pass  # trailers
    return got


def line_of(sock: socket.socket, record: bytearray) -> bytes:
    """With its end, recorded; less where the connection ends."""
    line = b""
    while not line.endswith(b"\r\n") and (more := rest(sock, record, 1)):
        line += more
    return line


def answering(*answers: bytes) -> Script:
    """Reads a head and sends an answer, as often as there are answers; the last is for all that follow."""

    def script(sock: socket.socket, record: bytearray) -> None:
        at = 0
        while head(sock, record) is not None:
            sock.sendall(answers[min(at, len(answers) - 1)])
            at += 1

    return script


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

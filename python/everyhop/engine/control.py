"""Messages over a Unix socket: four bytes of length, JSON, and descriptors that ride along. `schema/control.json` has
the forms. Secrets travel in a sealed memory file, never in a message."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

from everyhop.errors import EveryhopError, Surroundings

MOST_BYTES = 64 * 1024 * 1024
MOST_FDS = 253
PROTOCOL = 1


class Lost(Surroundings):
    """The other side of the socket is gone."""


def send(sock: socket.socket, message: Mapping[str, object], fds: Sequence[int] = ()) -> None:
    body = json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()
    data = struct.pack(">I", len(body)) + body
    try:
        sent = socket.send_fds(sock, [data], list(fds)) if fds else 0
        sock.sendall(data[sent:])
    except OSError as e:
        raise Lost(f"the engine's socket broke: {e.strerror or e}") from e


def receive(sock: socket.socket) -> tuple[dict[str, object], list[int]] | None:
    """The next message and its descriptors, which the caller owns; `None` when the other side closed between messages."""
    fds: list[int] = []
    head = b""
    try:
        while len(head) < 4:
            data, got, _, _ = socket.recv_fds(sock, 4 - len(head), MOST_FDS)
            fds += got
            if not data:
                if head:
                    raise Lost("the other side closed within a message")
                return None
            head += data
        (length,) = struct.unpack(">I", head)
        if length > MOST_BYTES:
            raise Lost("the other side announced a message that is too long")
        body = bytearray()
        while len(body) < length:
            data = sock.recv(min(length - len(body), 1 << 20))
            if not data:
                raise Lost("the other side closed within a message")
            body += data
    except OSError as e:
        raise Lost(f"the socket broke: {e.strerror or e}") from e
    try:
        message = json.loads(body)
    except ValueError as e:
        raise Lost("the other side sent what is no message") from e
    if not isinstance(message, dict):
        raise Lost("the other side sent what is no message")
    return message, fds


def sealed(data: bytes) -> int:
    """A memory file that nobody can change any more: how keys reach the engine."""
    fd = os.memfd_create("material", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with os.fdopen(os.dup(fd), "wb") as out:
        out.write(data)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def listening(path: Path) -> socket.socket:
    """A Unix socket at `path` that only we may use. What lay there before and answers nobody is replaced.

    Raises `Surroundings`, also where the folder is another user's: who owns it puts there what they like.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = path.parent.stat().st_uid
    except OSError as e:
        raise Surroundings(f"cannot make the folder {path.parent}: {e.strerror or e}") from e
    if owner not in {0, os.geteuid()}:
        raise Surroundings(
            f"the folder {path.parent} belongs to another user ({owner}); name one of ours: [admin] socket"
        )
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    before = os.umask(0o177)
    try:
        sock.bind(str(beside))
        sock.listen(64)
        # The name appears only once it can be connected to.
        beside.replace(path)
    except OSError as e:
        sock.close()
        raise Surroundings(f"cannot make the socket {path}: {e.strerror or e}") from e
    finally:
        os.umask(before)
    return sock


class Control:
    """One conversation with an engine: a question, its answer."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    @classmethod
    def connect(cls, path: Path, timeout_s: float = 10.0) -> Control:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(timeout_s)
        try:
            sock.connect(str(path))
        except OSError as e:
            sock.close()
            raise Lost(f"no engine answers at {path}: {e.strerror or e}") from e
        _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
        if uid not in {0, os.geteuid()}:
            sock.close()
            raise Lost(f"the process behind {path} belongs to another user ({uid})")
        return cls(sock)

    def ask(self, ask: str, fds: Sequence[int] = (), /, **fields: object) -> tuple[dict[str, object], list[int]]:
        """Raises `Lost`."""
        try:
            send(self.sock, {"protocol": PROTOCOL, "ask": ask, **fields}, fds)
            answer = receive(self.sock)
            if answer is None:
                raise Lost("the engine closed its socket")
        except Lost:
            # A late answer would be taken for that of the next question.
            self.close()
            raise
        return answer

    def must(self, ask: str, fds: Sequence[int] = (), /, **fields: object) -> dict[str, object]:
        """As `ask`, where a refusal is our fault: the compiler has judged before."""
        answer, given = self.ask(ask, fds, **fields)
        for fd in given:
            os.close(fd)
        if answer.get("answer") == "refused":
            raise EveryhopError(f"the engine refused {ask!r}: [{answer.get('slug')}] {answer.get('why')}")
        return answer

    def close(self) -> None:
        self.sock.close()

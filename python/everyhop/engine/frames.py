"""Messages over a Unix socket: four bytes of big-endian length, JSON, and descriptors that ride along (SCM_RIGHTS).

Knows no message by name: `messages.py` has their forms, `control.py` speaks them with an engine, `admin/` with people.
Secrets travel in a sealed memory file, never in a message.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from everyhop.errors import Surroundings

MOST_BYTES = 64 * 1024 * 1024
MOST_FDS = 253
"""The kernel's own bound on descriptors that ride on one piece (SCM_MAX_FD); more of them ride on several."""
LENGTH = struct.Struct(">I")
CREDENTIALS = struct.Struct("3i")
LONGEST_NAME = 107
"""Bytes that the kernel takes as the name of a socket (unix(7)), one less than its place has."""


class Lost(Surroundings):
    """The other side of the socket is gone."""


class Nobody(Lost):
    """Nobody listens at the path."""


class Late(Lost):
    """The other side says nothing in time: whatever it was asked, it may still do."""


def packed(message: Mapping[str, object]) -> bytes:
    return framed(json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass"))


def framed(body: bytes) -> bytes:
    return LENGTH.pack(len(body)) + body


def send(sock: socket.socket, data: bytes, fds: Sequence[int] = ()) -> None:
    """Sends a frame. Descriptors beyond what one piece carries ride on single bytes before it."""
    left, rest = list(fds), memoryview(data)
    try:
        while len(left) > MOST_FDS:
            rest = rest[socket.send_fds(sock, [rest[:1]], left[:MOST_FDS]) :]
            left = left[MOST_FDS:]
        if left:
            rest = rest[socket.send_fds(sock, [rest], left) :]
        sock.sendall(rest)
    except OSError as e:
        raise broken(e) from e


def receive(sock: socket.socket) -> tuple[dict[str, object], list[int]] | None:
    """The next message and its descriptors, which the caller owns; `None` when the other side closed between messages."""
    fds: list[int] = []
    try:
        head = some(sock, LENGTH.size, fds)
        if not head:
            return None
        (length,) = LENGTH.unpack(whole(head, LENGTH.size))
        if length > MOST_BYTES:
            raise Lost("the other side announced a message that is too long")
        return message(whole(some(sock, length, fds), length)), fds
    except BaseException as e:
        for fd in fds:
            os.close(fd)
        if isinstance(e, OSError):
            raise broken(e) from e
        raise


def broken(e: OSError) -> Lost:
    """What is told of it."""
    if isinstance(e, TimeoutError):
        return Late("no answer came in time")
    return Lost(f"the socket broke: {e.strerror or e}")


def some(sock: socket.socket, size: int, fds: list[int]) -> bytes:
    """Up to `size` bytes, fewer only at the end; what rides on any of them goes to `fds`."""
    data = bytearray()
    while len(data) < size:
        piece, got, flags, _ = socket.recv_fds(sock, min(size - len(data), 1 << 20), MOST_FDS, socket.MSG_CMSG_CLOEXEC)
        fds += got
        if flags & socket.MSG_CTRUNC:
            raise Lost("descriptors were lost on the way: out of descriptors; raise the limit: LimitNOFILE=")
        if not piece:
            break
        data += piece
    return bytes(data)


def whole(data: bytes, size: int) -> bytes:
    if len(data) < size:
        raise Lost("the other side closed within a message")
    return data


def message(body: bytes) -> dict[str, object]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as e:
        raise Lost("the other side sent what is no message") from e
    if not isinstance(found, dict):
        raise Lost("the other side sent what is no message")
    return found


def credentials(sock: socket.socket) -> tuple[int, int]:
    """The process and the user at the other end, as the kernel knows them."""
    pid, uid, _ = CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size))
    return pid, uid


@contextlib.contextmanager
def name_of(path: Path) -> Iterator[str]:
    """What the kernel takes for `path`, however deep its folder lies: by that folder, opened, where the whole is too long for it.

    Raises `OSError`.
    """
    if len(os.fsencode(path)) <= LONGEST_NAME:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def connect(path: Path, timeout_s: float) -> socket.socket:
    """A connection with a process of our own user or root.

    Raises `Lost`, where nobody listens `Nobody`.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout_s)
        with name_of(path) as name:
            sock.connect(name)
        _, uid = credentials(sock)
    except OSError as e:
        sock.close()
        raise unheard(e)(f"nobody answers at {path}: {e.strerror or e}") from e
    if uid not in {0, os.geteuid()}:
        sock.close()
        raise Lost(f"the process behind {path} belongs to another user ({uid})")
    return sock


def unheard(e: OSError) -> type[Lost]:
    """What it means that nobody took a connection."""
    if isinstance(e, FileNotFoundError | ConnectionRefusedError):
        return Nobody
    # Where too many wait to be heard the kernel does not let us wait.
    return Late if isinstance(e, TimeoutError | BlockingIOError) else Lost


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
        with name_of(beside) as name:
            sock.bind(name)
        sock.listen(64)
        # The name appears only once it can be connected to.
        beside.replace(path)
    except OSError as e:
        sock.close()
        raise Surroundings(f"cannot make the socket {path}: {e.strerror or e}") from e
    finally:
        os.umask(before)
    return sock

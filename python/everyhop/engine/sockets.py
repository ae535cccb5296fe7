"""Listening sockets: bound here, handed to the engine, kept open, so that a dead engine's queue waits for the next one."""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass

from everyhop.compile.names import address
from everyhop.engine.messages import Socket
from everyhop.errors import Surroundings
from everyhop.plan import Plan

BACKLOG = 4096


@dataclass(frozen=True)
class Bound:
    """A socket, whose it is and which thread accepts from it."""

    listener: str
    bind: str
    thread: int
    fd: int

    def told(self) -> Socket:
        return Socket(listener=self.listener, bind=self.bind, thread=self.thread)


def trouble(bind: str, error: OSError) -> Surroundings:
    if error.errno == errno.EADDRINUSE:
        return Surroundings(
            f"{bind} is in use by another process; find it: ss -ltnp 'sport = :{bind.rpartition(':')[2]}'"
        )
    if error.errno == errno.EACCES:
        return Surroundings(
            f"{bind}: no permission for a port below 1024; give it: setcap cap_net_bind_service=+ep $(readlink -f .venv/bin/python3), "
            "or take the sockets from systemd, or bind a higher port"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return Surroundings(f"{bind}: this machine has no such address")
    return Surroundings(f"{bind}: {error.strerror or error}")


def one(bind: str, *, shared: bool) -> socket.socket:
    at = address(bind)
    assert at is not None and at.ip is not None, "judged by the compiler"
    family = socket.AF_INET6 if ":" in at.ip else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if at.ip == "::" else 1)
        sock.bind((at.ip, at.port))
        sock.listen(BACKLOG)
    except OSError as e:
        sock.close()
        raise trouble(bind, e) from e
    return sock


def cores() -> int:
    """How many threads "one for each core" means here and now: one socket of each address is bound for each."""
    return max(1, len(os.sched_getaffinity(0)))


def bind_all(plan: Plan, have: list[Bound], threads: int) -> list[Bound]:
    """The sockets that the plan names and `have` lacks. What is bound already under another listener's name is the same
    socket under the new one: a name is only a name, and the clients in its queue wait there.

    Raises `Surroundings`; then nothing new stays bound.
    """
    fresh: list[Bound] = []
    try:
        for listener in plan.listeners:
            for bind in listener.bind:
                bound = [b for b in have if b.bind == bind]
                if any(b.listener == listener.name for b in bound):
                    continue
                given = activated().get(bind)
                if bound:
                    fresh += [Bound(listener.name, bind, b.thread, os.dup(b.fd)) for b in bound]
                elif given is not None:
                    fresh += [Bound(listener.name, bind, t, os.dup(given)) for t in range(threads)]
                else:
                    # Another process that shares its port would silently share ours: a plain bind tells.
                    one(bind, shared=False).close()
                    for t in range(threads):
                        fresh.append(Bound(listener.name, bind, t, one(bind, shared=True).detach()))
    except BaseException as e:
        for it in fresh:
            os.close(it.fd)
        if isinstance(e, OSError):
            raise trouble("listening", e) from e
        raise
    return fresh


def activated() -> dict[str, int]:
    """Sockets that systemd handed over (sd_listen_fds), by their address."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return {}
    found = {}
    for fd in range(3, 3 + int(os.environ.get("LISTEN_FDS", "0"))):
        with socket.socket(fileno=os.dup(fd)) as sock:
            if sock.family in {socket.AF_INET, socket.AF_INET6}:
                ip, port = sock.getsockname()[:2]
                found[f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"] = fd
    return found


def open_log(plan: Plan) -> int | None:
    """The access log's descriptor; `None` for none."""
    access = plan.log.access
    if access.to == "off":
        return None
    try:
        if access.to == "stdout":
            return os.dup(1)
        return os.open(access.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as e:
        raise Surroundings(
            f"cannot write the access log {access.path if access.to == 'file' else 'stdout'}: {e.strerror}"
        ) from e

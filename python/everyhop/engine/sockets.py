"""Listening sockets: bound here, handed to the engine, kept open, so that a dead engine's queue waits for the next one."""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from everyhop.compile import Compiled
from everyhop.compile.names import address
from everyhop.errors import Surroundings

BACKLOG = 4096


@dataclass(frozen=True)
class Bound:
    """A socket, whose it is and which thread accepts from it."""

    listener: str
    bind: str
    thread: int
    fd: int

    def told(self) -> dict[str, object]:
        return {"listener": self.listener, "bind": self.bind, "thread": self.thread}


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


def bind_all(compiled: Compiled, have: list[Bound], threads: int) -> list[Bound]:
    """Binds what the plan names and `have` lacks.

    Raises `Surroundings`; then nothing new stays bound.
    """
    known = {(b.listener, b.bind) for b in have}
    fresh: list[Bound] = []
    try:
        for listener in compiled.plan.listeners:
            for bind in listener.bind:
                if (listener.name, bind) in known:
                    continue
                given = activated().get(bind)
                if given is not None:
                    fresh += [Bound(listener.name, bind, t, os.dup(given)) for t in range(threads)]
                    continue
                # Another process that shares its port would silently share ours: a plain bind tells.
                one(bind, shared=False).close()
                fresh += [Bound(listener.name, bind, t, one(bind, shared=True).detach()) for t in range(threads)]
    except Surroundings:
        for bound in fresh:
            os.close(bound.fd)
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


def open_log(compiled: Compiled) -> int | None:
    """The access log's descriptor; `None` for none."""
    access = compiled.plan.log.access
    if access.to == "off":
        return None
    if access.to == "stdout":
        return os.dup(1)
    path = Path(access.path)
    try:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as e:
        raise Surroundings(f"cannot write the access log {path}: {e.strerror}") from e

"""Listening sockets: bound here, handed to the engine, kept open, so that a dead engine's queue waits for the next one."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass

from everyhop.compile.names import address
from everyhop.engine.messages import Socket
from everyhop.errors import Surroundings
from everyhop.plan import Plan

BACKLOG = 4096
EVERYWHERE = "::"
Make = Callable[[int, int], socket.socket]
"""How a socket is made: `socket.socket`, but for tests of a machine that lacks something."""


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
    if error.errno == errno.EAFNOSUPPORT:
        return Surroundings(
            f"{bind}: this machine has no IPv6; bind an IPv4 address, such as 0.0.0.0:{bind.rpartition(':')[2]}"
        )
    return Surroundings(f"{bind}: {error.strerror or error}")


def unbound(bind: str, ip: str, make: Make) -> tuple[socket.socket, str]:
    """A socket for `ip`, and the address that it can have: all of IPv4 where all are meant and there is no IPv6."""
    try:
        return make(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_STREAM), ip
    except OSError as e:
        if e.errno != errno.EAFNOSUPPORT or ip != EVERYWHERE:
            raise trouble(bind, e) from e
        return make(socket.AF_INET, socket.SOCK_STREAM), "0.0.0.0"  # noqa: S104  (what "[::]" asks for)


def without_ipv6(bound: list[Bound]) -> list[str]:
    """Addresses of all families that hold only IPv4."""
    found = []
    for it in {b.bind: b for b in bound}.values():
        with socket.socket(fileno=os.dup(it.fd)) as sock:
            at = address(it.bind)
            if at is not None and at.ip == EVERYWHERE and sock.family == socket.AF_INET:
                found.append(it.bind)
    return found


def one(bind: str, *, shared: bool, make: Make = socket.socket) -> socket.socket:
    at = address(bind)
    assert at is not None and at.ip is not None, "judged by the compiler"
    sock, ip = unbound(bind, at.ip, make)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # What is accepted here inherits it: a client that vanished behind a quiet tunnel is noticed, at no call a connection.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)
        if ":" in ip:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if ip == EVERYWHERE else 1)
        sock.bind((ip, at.port))
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

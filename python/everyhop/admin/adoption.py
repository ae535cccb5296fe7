"""Taking over an engine that was there before us: its sockets, its process, and what it was started with.

Changes nothing in the engine; whoever cannot take it over leaves it as it serves. Read next: `keeper.py`.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, replace

from everyhop.admin.change import Lasting
from everyhop.engine import Bound, Control
from everyhop.engine import messages as m
from everyhop.engine.process import whom
from everyhop.errors import Surroundings


@dataclass(frozen=True)
class Adopted:
    """`holds` is what the engine was started with; `process` a descriptor of its process, if there is one."""

    holds: Lasting
    bound: list[Bound]
    pid: int
    process: int | None
    plan_digest: str | None


def adopt(control: Control, wanted: Lasting) -> Adopted:
    """Raises `Surroundings` where it cannot be taken over."""
    welcome = control.must(m.Hello(), m.Welcome)
    if welcome.draining:
        raise Surroundings(f"the engine with pid {welcome.pid} is draining; wait until it is gone")
    if welcome.threads not in {None, wanted.threads}:
        raise Surroundings(
            f"restart needed: the engine with pid {welcome.pid} serves with {welcome.threads} threads, and the"
            f" configuration says {wanted.threads}; stop it, or put back [engine] threads"
        )
    answer, fds = control.ask(m.Adopt(), m.Sockets)
    bound = [Bound(s.listener, s.bind, s.thread, fd) for s, fd in zip(answer.sockets, fds, strict=False)]
    if len(fds) != len(answer.sockets) + (answer.status is not None):
        for fd in fds:
            os.close(fd)
        raise Surroundings(f"the engine has {len(answer.sockets)} sockets and {len(fds)} descriptors came")
    for fd in fds[len(answer.sockets) :]:
        os.close(fd)
    process = None
    with contextlib.suppress(OSError):
        process = os.pidfd_open(welcome.pid)
    return Adopted(started_with(welcome, wanted), bound, welcome.pid, process, welcome.plan_digest)


def started_with(welcome: m.Welcome, wanted: Lasting) -> Lasting:
    """What an engine that we did not start holds, as far as it shows."""
    sandbox, user = wanted.sandbox, wanted.user
    if (welcome.sandbox is None) != (wanted.sandbox == "off"):
        sandbox = "off" if welcome.sandbox is None else "best-effort"
    if welcome.sandbox is not None:
        uid, _ = whom(wanted.user) or (os.geteuid(), os.getegid())
        user = wanted.user if uid == welcome.sandbox.uid else f"number {welcome.sandbox.uid}"
    return replace(wanted, status=welcome.status_bind, sandbox=sandbox, user=user)

"""Taking over an engine that was there before us: its sockets, its process, and what it was started with.

Changes nothing in the engine; whoever cannot take it over leaves it as it serves. Read next: `keeper.py`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from everyhop.admin.change import Lasting
from everyhop.engine import messages as m
from everyhop.engine.control import Control
from everyhop.engine.process import Found, find, whom
from everyhop.engine.sockets import Bound
from everyhop.errors import Surroundings


@dataclass(frozen=True)
class Adopted:
    """`holds` is what the engine was started with."""

    holds: Lasting
    bound: list[Bound]
    pid: int
    process: Found | None
    plan_digest: str | None
    version: str


def adopt(control: Control, wanted: Lasting, *, counted: bool) -> Adopted:
    """`counted`: any number of threads will do, for the plan says one for each core and the engine has counted them.

    Raises `Surroundings` where it cannot be taken over.
    """
    welcome = control.must(m.Hello(), m.Welcome)
    if welcome.draining:
        raise Surroundings(f"the engine with pid {welcome.pid} is draining; wait until it is gone")
    if welcome.threads not in {None, wanted.threads} and not counted:
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
    return Adopted(
        started_with(welcome, wanted), bound, welcome.pid, find(welcome.pid), welcome.plan_digest, welcome.version
    )


def started_with(welcome: m.Welcome, wanted: Lasting) -> Lasting:
    """What an engine that we did not start holds, as far as it shows."""
    sandbox, user = wanted.sandbox, wanted.user
    if (welcome.sandbox is None) != (wanted.sandbox == "off"):
        sandbox = "off" if welcome.sandbox is None else "best-effort"
    if welcome.sandbox is not None:
        uid, _ = whom(wanted.user) or (os.geteuid(), os.getegid())
        user = wanted.user if uid == welcome.sandbox.uid else f"number {welcome.sandbox.uid}"
    threads = welcome.threads or wanted.threads
    return Lasting(threads, welcome.status_bind, sandbox, user, wanted.admin)

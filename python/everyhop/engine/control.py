"""Questions and orders to an engine and its answers, in the forms of `messages.py`, over the frames of `frames.py`.

One conversation at a time, one answer to each question. What is no answer in its form counts as no answer at all.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from everyhop.engine.frames import Late, Lost, connect, framed, receive, send
from everyhop.engine.messages import Answer, Ask, Declined
from everyhop.errors import EveryhopError

A = TypeVar("A", bound=Answer)


class EngineRefused(EveryhopError):
    """The engine refuses a question: our fault, for the compiler has judged before."""

    def __init__(self, ask: str, told: Declined) -> None:
        super().__init__(f"the engine refused {ask!r}: [{told.slug}] {told.why}")
        self.slug = told.slug


MIB_S = 2.0
"""For how much longer an answer is waited for, for each MiB that is sent: a plan of ten thousand sites has some twenty, its keys and
certificates come besides, and to make all of it ready took an engine on a busy machine more than ten seconds."""
SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


def sealed(data: bytes) -> int:
    """A memory file that nobody can change any more: how keys reach the engine."""
    fd = os.memfd_create("material", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with os.fdopen(os.dup(fd), "wb") as out:
            out.write(data)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SEALS)
        os.lseek(fd, 0, os.SEEK_SET)
    except BaseException:
        os.close(fd)
        raise
    return fd


class Control:
    """One conversation with an engine: a question, its answer."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    @classmethod
    def connect(cls, path: Path, timeout_s: float = 10.0) -> Control:
        """Raises `Lost`."""
        return cls(connect(path, timeout_s))

    def ask(self, question: Ask, of: type[A], fds: Sequence[int] = ()) -> tuple[A, list[int]]:
        """The answer, and the descriptors that came with it, which the caller owns.

        Raises `Lost`, and `EngineRefused` where the answer is a refusal.
        """
        told = framed(question.model_dump_json().encode())
        patience_s = self.sock.gettimeout()
        try:
            if patience_s is not None and self.sock.fileno() >= 0:
                sent = len(told) + sum(os.fstat(fd).st_size for fd in fds)
                self.sock.settimeout(patience_s + MIB_S * sent / (1 << 20))
            send(self.sock, told, fds)
            got = receive(self.sock)
            if got is None:
                raise Lost("the engine closed its socket")
            return taken(question.ask, got[0], of, got[1]), got[1]
        except Lost as e:
            # A late answer would be taken for that of the next question.
            self.close()
            if isinstance(e, Late):
                raise Late("the engine did not answer in time") from e
            raise
        finally:
            if self.sock.fileno() >= 0:
                self.sock.settimeout(patience_s)

    def must(self, question: Ask, of: type[A], fds: Sequence[int] = ()) -> A:
        """As `ask`, of an answer with which no descriptor comes."""
        answer, given = self.ask(question, of, fds)
        for fd in given:
            os.close(fd)
        return answer

    def is_closed(self) -> bool:
        """Between questions the engine says nothing: readable means that it closed."""
        before = self.sock.gettimeout() if self.sock.fileno() >= 0 else None
        try:
            self.sock.setblocking(False)
            return not self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        finally:
            if self.sock.fileno() >= 0:
                self.sock.settimeout(before)

    def is_lost(self) -> bool:
        """Whether a question was not answered, so that nothing more can be asked here. Whoever is there may be well by now."""
        return self.sock.fileno() < 0

    def close(self) -> None:
        self.sock.close()


def taken(ask: str, told: dict[str, object], of: type[A], fds: Sequence[int]) -> A:
    """`told` in the form that it must have."""
    try:
        if told.get("answer") == "refused":
            raise EngineRefused(ask, Declined.model_validate(told))
        return of.model_validate(told)
    except (ValidationError, EngineRefused) as e:
        for fd in fds:
            os.close(fd)
        if isinstance(e, ValidationError):
            wrong = e.errors(include_url=False)[0]
            where = ".".join(map(str, wrong["loc"]))
            raise Lost(f"the engine's answer to {ask!r} has another form: {where}: {wrong['msg']}") from e
        raise

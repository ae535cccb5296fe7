"""The admin socket: only the same user or root, never the engine, one question, one answer. It carries no traffic.

Nobody is waited for: who asks slowly or says nothing is one entry of the selector with a deadline, and there are not
more of them than `MOST`. What is answered is `answers.py`'s business.
"""

from __future__ import annotations

import os
import selectors
import socket
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from everyhop.admin.telling import say
from everyhop.engine.frames import LENGTH, Lost, credentials, listening, message, packed

PATIENCE_S = 5.0
MOST = 32
QUESTION_BYTES = 1024 * 1024
"""A question is some words; that of `where` has a request's head."""


class Visitor:
    """Who connected: what they have said so far, then what they have not taken yet."""

    def __init__(self, sock: socket.socket, now_s: float) -> None:
        self.sock, self.until_s = sock, now_s + PATIENCE_S
        self.said = bytearray()
        self.owed = memoryview(b"")

    def hear(self) -> dict[str, object] | None:
        """The question, once it is whole.

        Raises `Lost`.
        """
        size = LENGTH.size + (LENGTH.unpack_from(self.said)[0] if len(self.said) >= LENGTH.size else 0)
        if size > QUESTION_BYTES:
            raise Lost("a question that is too long")
        try:
            # Without room for them descriptors that ride along are closed by the kernel.
            data = self.sock.recv(size - len(self.said))
        except BlockingIOError:
            return None
        except OSError as e:
            raise Lost(str(e)) from e
        if not data:
            raise Lost("they left")
        self.said += data
        if len(self.said) < LENGTH.size:
            return None
        if len(self.said) == LENGTH.size:
            return self.hear()
        return message(bytes(self.said[LENGTH.size :])) if len(self.said) == size else None

    def give(self, now_s: float) -> bool:
        """Sends what goes; true when all of it went. Who takes some of it has time for the next.

        Raises `Lost`.
        """
        try:
            while self.owed:
                self.owed = self.owed[self.sock.send(self.owed) :]
                self.until_s = now_s + PATIENCE_S
        except BlockingIOError:
            return False
        except OSError as e:
            raise Lost(str(e)) from e
        return True


class Server:
    """Answers on `path` within the loop that asks `selector`."""

    def __init__(
        self,
        path: Path,
        selector: selectors.BaseSelector,
        answer: Callable[[dict[str, object]], dict[str, object]],
        is_engine: Callable[[int], bool],
    ) -> None:
        self.path, self.selector, self.answer, self.is_engine = path, selector, answer, is_engine
        self.sock = self.listen()
        self.visitors: list[Visitor] = []

    def listen(self) -> socket.socket:
        sock = listening(self.path)
        sock.setblocking(False)
        return sock

    def __enter__(self) -> Server:
        self.selector.register(self.sock, selectors.EVENT_READ, self.arrive)
        return self

    def __exit__(self, *_: object) -> None:
        for visitor in list(self.visitors):
            self.let_go(visitor)
        self.selector.unregister(self.sock)
        self.sock.close()
        self.path.unlink(missing_ok=True)

    def arrive(self) -> None:
        """Takes everyone who waits."""
        while True:
            try:
                sock, _ = self.sock.accept()
            except BlockingIOError:
                return
            sock.setblocking(False)
            pid, uid = credentials(sock)
            # The engine never asks here. One that does was taken over, and may be of our user.
            if uid not in {0, os.geteuid()} or self.is_engine(pid):
                sock.close()
                continue
            if len(self.visitors) >= MOST:
                # Whoever has something to say said it long ago.
                self.let_go(self.visitors[0])
            visitor = Visitor(sock, time.monotonic())
            self.visitors.append(visitor)
            self.selector.register(sock, selectors.EVENT_READ, partial(self.hear, visitor))
            self.hear(visitor)

    def hear(self, visitor: Visitor) -> None:
        try:
            question = visitor.hear()
        except Lost:
            self.let_go(visitor)  # nothing is owed to them
            return
        if question is None:
            return
        try:
            told = self.answer(question)
        except BaseException as e:
            told = {"answer": "refused", "slug": "admin/fault", "why": f"our fault: {type(e).__name__}: {e}"}
            raise
        finally:
            visitor.owed = memoryview(packed(told))
            visitor.until_s = time.monotonic() + PATIENCE_S
            self.selector.modify(visitor.sock, selectors.EVENT_WRITE, partial(self.give, visitor))
            self.give(visitor)

    def give(self, visitor: Visitor) -> None:
        try:
            if not visitor.give(time.monotonic()):
                return
        except Lost:
            pass  # they left; nothing is owed to them
        self.let_go(visitor)

    def let_go(self, visitor: Visitor) -> None:
        self.visitors.remove(visitor)
        self.selector.unregister(visitor.sock)
        visitor.sock.close()

    def look(self, now_s: float) -> None:
        """What time brings: who is silent too long, and a name that was taken away."""
        self.let_go_of_the_silent(now_s)
        self.be_found()

    def be_found(self) -> None:
        """Who cleans up temporary files takes the socket's name: nobody would find us, and another supervisor would start
        beside us. What somebody else put there stays theirs.

        Raises `Surroundings` where it cannot be put back.
        """
        if os.path.lexists(self.path):
            return
        fresh = self.listen()
        self.selector.unregister(self.sock)
        self.sock.close()
        self.sock = fresh
        self.selector.register(self.sock, selectors.EVENT_READ, self.arrive)
        say(f"the admin socket {self.path} was gone and is back")

    def let_go_of_the_silent(self, now_s: float) -> None:
        """Those whose time is over."""
        for visitor in [v for v in self.visitors if now_s >= v.until_s]:
            self.let_go(visitor)

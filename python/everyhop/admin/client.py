"""Asking a running supervisor."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from everyhop.admin.lastgood import LastGood
from everyhop.admin.paths import admin_socket
from everyhop.engine.frames import Late, Lost, Nobody, connect, packed, receive, send
from everyhop.errors import EveryhopError, Surroundings
from everyhop.source import Document, Syntax, find, load


def configured_socket(config: str | None) -> Path:
    """The admin socket that the configuration names; the default where there is none to be found or read."""
    try:
        admin = readable(find(config)).values.get("admin")
    except Surroundings:
        if config:
            raise
        return admin_socket(None)
    given = admin.get("socket") if isinstance(admin, dict) else None
    return admin_socket(given if isinstance(given, str) else None)


def readable(path: Path) -> Document:
    """The file; if it does not parse, what the running supervisor last read of it, which tells where that answers."""
    try:
        return load(path)
    except Syntax as e:
        kept = LastGood(path).text()
        if kept is None:
            raise Surroundings(f"{e.place}: {e.what}; no supervisor is found by a file that does not parse") from e
        return load(path, kept)


class NotThere(Surroundings):
    """No supervisor listens."""


class Client:
    """One conversation with a supervisor."""

    def __init__(self, config: str | None, timeout_s: float = 60.0) -> None:
        self.path, self.timeout_s = configured_socket(config), timeout_s
        try:
            self.sock = connect(self.path, timeout_s)
        except Nobody as e:
            raise NotThere(f"no supervisor answers at {self.path}; start one: everyhop run") from e
        except Late as e:
            raise Surroundings(f"the supervisor at {self.path} hears nobody: {e}; is it stopped?") from e
        except Lost as e:
            # One may well be there: who starts another is refused beside it.
            raise Surroundings(f"the supervisor cannot be asked: {e}; ask as the user that runs it") from e

    def ask(self, ask: str, **fields: object) -> dict[str, object]:
        """The answer to the one question of this conversation.

        Raises `EveryhopError` where it is refused, `Surroundings` where there is no answer.
        """
        with self.sock:
            try:
                return answer(self.sock, ask, **fields)
            except Late as e:
                raise Surroundings(
                    f"the supervisor at {self.path} did not answer within {self.timeout_s:g} s; it may still do what it was asked ({ask}): "
                    "see everyhop status, and its log"
                ) from e


def answer(sock: socket.socket, ask: str, **fields: object) -> dict[str, object]:
    """What a supervisor answers on `sock`."""
    send(sock, packed({"protocol": 1, "ask": ask, **fields}))
    got = receive(sock)
    if got is None:
        raise Lost("the supervisor closed its socket")
    told, fds = got
    for fd in fds:
        os.close(fd)
    if told.get("answer") == "refused":
        raise EveryhopError(f"[{told.get('slug')}] {told.get('why')}")
    return told

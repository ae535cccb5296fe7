"""The admin socket: only the same user or root, never the engine, one question, one answer. Reload and status, no traffic."""

from __future__ import annotations

import os
import selectors
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from everyhop import __version__
from everyhop.engine import Lost, listening, receive, send
from everyhop.errors import EveryhopError

if TYPE_CHECKING:
    from everyhop.admin.supervisor import Supervisor

PATIENCE_S = 5.0


class Server:
    """Answers on `path` for a supervisor, within its loop."""

    def __init__(self, supervisor: Supervisor, path: Path) -> None:
        self.supervisor, self.path = supervisor, path
        self.sock = listening(path)
        self.sock.setblocking(False)

    def __enter__(self) -> Server:
        self.supervisor.selector.register(self.sock, selectors.EVENT_READ, None)
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()
        self.path.unlink(missing_ok=True)

    def serve_waiting(self) -> None:
        """Answers everyone who waits."""
        while True:
            try:
                peer, _ = self.sock.accept()
            except BlockingIOError:
                return
            with peer:
                peer.settimeout(PATIENCE_S)
                pid, uid, _ = struct.unpack(
                    "3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
                )
                # The engine never asks here. One that does was taken over, and may be of our user.
                if uid not in {0, os.geteuid()} or pid == self.supervisor.engine_pid:
                    continue
                try:
                    message = receive(peer)
                    if message is not None:
                        for fd in message[1]:
                            os.close(fd)
                        send(peer, self.answer(message[0]))
                except Lost:
                    continue  # they left; nothing is owed to them

    def answer(self, message: dict[str, object]) -> dict[str, object]:
        it = self.supervisor
        ask = message.get("ask")
        try:
            if ask == "status":
                return {
                    "answer": "status",
                    "supervisor": self.about(),
                    "engine": it.control.must("status") if it.control else None,
                }
            if ask == "reload":
                return {"answer": "reload", **it.reload()}
            if ask == "where" and it.control:
                fields = {k: v for k, v in message.items() if k not in {"protocol", "ask"}}
                return {
                    "answer": "where",
                    "judged": it.control.must("where", (), **fields),
                    "places": self.places(),
                    "plan": it.compiled.plan_json,
                }
            if ask == "stop":
                it.stopping = True
                return {"answer": "stopping"}
        except EveryhopError as e:
            return {"answer": "refused", "slug": "admin/engine", "why": str(e)}
        return {"answer": "refused", "slug": "admin/malformed", "why": f"there is no question {ask!r}"}

    def places(self) -> dict[str, str]:
        return {name: str(place) for name, place in self.supervisor.compiled.places().items()}

    def about(self) -> dict[str, object]:
        it = self.supervisor
        return {
            "version": __version__,
            "pid": os.getpid(),
            "config": str(it.path.absolute()),
            "plan": it.compiled.plan_json,
            "plan_digest": it.compiled.plan_digest,
            "material": it.compiled.material.entries,
            "started": it.started_at.isoformat(),
            "engine_restarts": it.restarts,
            "last_reload": it.last_reload,
            "places": self.places(),
        }

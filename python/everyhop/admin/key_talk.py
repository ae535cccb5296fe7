"""What the supervisor and its engine say to each other of issuers' keys: the engine, that a token names one which is not there,
by a conversation of its own in which an answer may wait; the supervisor, what came of asking. Read next: `key_servers.py`.
"""

from __future__ import annotations

import contextlib
import socket
import threading

from everyhop.admin.keeper import Keeper
from everyhop.admin.key_servers import KeyServers
from everyhop.admin.telling import say
from everyhop.engine import messages as m
from everyhop.engine.control import Control, EngineRefused
from everyhop.engine.frames import Lost

WAIT_S = 10.0
"""How long the engine keeps a question that has no answer yet."""
PATIENCE_S = WAIT_S + 10.0
AGAIN_S = 0.25


class KeyTalk:
    """Of one supervisor. `look` is called in its loop; `hear` runs on a thread of its own once some plan has a key server."""

    def __init__(self, keeper: Keeper, servers: KeyServers) -> None:
        self.keeper, self.servers = keeper, servers
        self.pid = 0
        self.ear: Control | None = None
        self.thread: threading.Thread | None = None
        self.said: dict[str, str] = {}
        """Of each issuer, the set that was told of last."""

    def look(self) -> None:
        """Brings keys that are new and tells what was asked for. What does not get there is brought at the next look."""
        servers, keeper = self.servers, self.keeper
        if not servers.is_of(keeper.running):
            servers.follow(keeper.decided)
        if not servers.servers:
            return
        if keeper.pid != self.pid:
            self.pid = keeper.pid
            servers.forget_told()
            self.hang_up()
        if self.thread is None:
            self.thread = threading.Thread(target=self.hear, name="keys-wanted", daemon=True)
            self.thread.start()
        if keeper.control is None:
            return
        if servers.is_new(keeper.running):
            keeper.renew(keeper.decided)
        self.tell()
        told = servers.told()
        if not told:
            return
        asked = [
            m.Asked(issuer=it.issuer.name, question=it.told, failed=bool(it.why), fetched_s=servers.fetched_s(it))
            for it in told
        ]
        try:
            keeper.must_control().must(m.Keys(issuers=asked), m.Heard)
        except EngineRefused:
            # One of a version before this one: it has no such issuers, or keeps the keys that it was given.
            return
        except Lost:
            servers.fresh |= {it.issuer.name for it in told}
            raise
        servers.keep()

    def tell(self) -> None:
        for name, it in sorted(self.servers.servers.items()):
            found = self.servers.set_of(it.issuer)
            now = found.sha256 if found else ""
            if self.said.get(name) == now:
                continue
            self.said[name] = now
            if found is None:
                say(f"issuer {name}: no keys, so its tokens are refused; {it.keys}: {it.why or 'it was not asked yet'}")
            else:
                odd = f"; not used: {'; '.join(found.left_out)}" if found.left_out else ""
                say(f"issuer {name}: {found.keys} key(s) from {it.keys}{found.over}{odd}")

    # The engine's own word.

    def hear(self) -> None:
        servers = self.servers
        while not servers.stopped:
            try:
                ear = self.ear = self.ear or Control.connect(self.keeper.path, PATIENCE_S)
                told = ear.must(m.Wanted(wait_ms=int(WAIT_S * 1000)), m.WantedKeys)
                for it in told.issuers:
                    servers.lacks(it.issuer, it.question)
            except (Lost, EngineRefused, OSError):
                self.hang_up()
                with servers.changed:
                    servers.changed.wait_for(lambda: servers.stopped, AGAIN_S)

    def hang_up(self) -> None:
        """The engine that is spoken with may be another by now."""
        ear, self.ear = self.ear, None
        if ear is not None:
            with contextlib.suppress(OSError):
                ear.sock.shutdown(socket.SHUT_RDWR)
            ear.close()

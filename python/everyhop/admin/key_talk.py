"""What the supervisor and its engines say to each other of issuers' keys: an engine, that a token names one which is not there,
by a conversation of its own in which an answer may wait; the supervisor, what came of asking. Read next: `key_servers.py`.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path

from everyhop.admin.keeper import Keeper
from everyhop.admin.key_servers import KeyServers, Server
from everyhop.admin.telling import say
from everyhop.engine import messages as m
from everyhop.engine.control import Control, EngineRefused
from everyhop.engine.frames import Lost

WAIT_S = 10.0
"""How long the engine keeps a question that has no answer yet."""
PATIENCE_S = WAIT_S + 10.0
AGAIN_S = 0.25


class Ear:
    """For what one engine asks, on a thread of its own. `path` is where it is found; it changes when another follows it."""

    def __init__(self, pid: int, path: Path, servers: KeyServers) -> None:
        self.pid, self.path, self.servers = pid, path, servers
        self.control: Control | None = None
        self.over = False
        self.said = ""
        """The last fault of ours that was told."""
        self.thread = threading.Thread(target=self.hear, name=f"keys-wanted-{pid}", daemon=True)
        self.thread.start()

    def hear(self) -> None:
        servers = self.servers
        while not (self.over or servers.stopped):
            try:
                control = self.control = self.control or Control.connect(self.path, PATIENCE_S)
                told = control.must(m.Wanted(wait_ms=int(WAIT_S * 1000)), m.WantedKeys)
                for it in told.issuers:
                    servers.lacks(it.issuer, it.question, self.pid)
            except (Lost, EngineRefused, OSError):
                self.rest()
            except BaseException as e:  # whatever it is: a thread that ended would hear nothing any more
                if (why := f"our fault: {type(e).__name__}: {e}") != self.said:
                    self.said = why
                    say(f"what keys the engine lacks is not heard: {why}")
                self.rest()

    def rest(self) -> None:
        self.hang_up()
        with self.servers.changed:
            self.servers.changed.wait_for(lambda: self.over or self.servers.stopped, AGAIN_S)

    def end(self) -> None:
        self.over = True
        self.hang_up()

    def hang_up(self) -> None:
        control, self.control = self.control, None
        if control is not None:
            with contextlib.suppress(OSError):
                control.sock.shutdown(socket.SHUT_RDWR)
            control.close()


class KeyTalk:
    """Of one supervisor, with the engine that accepts and with those before it. `look` is called in its loop."""

    def __init__(self, keeper: Keeper, servers: KeyServers) -> None:
        self.keeper, self.servers = keeper, servers
        self.ears: dict[int, Ear] = {}
        self.said: dict[str, str] = {}
        """Of each issuer, the set that was told of last."""

    def look(self) -> None:
        """Brings keys that are new and tells what was asked for. What does not get there is brought at the next look."""
        servers, keeper = self.servers, self.keeper
        if not servers.is_of(keeper.running):
            servers.follow(keeper.decided)
        if not servers.servers:
            return
        self.listen()
        if keeper.control is None:
            return
        if servers.is_new(keeper.running):
            keeper.renew(keeper.decided)
        self.tell()
        told = servers.told()
        if not told:
            return
        try:
            keeper.must_control().must(self.keys(told, keeper.pid), m.Heard)
        except EngineRefused:
            # One of a version before this one: it has no such issuers, or keeps the keys that it was given.
            return
        except Lost:
            servers.fresh |= {it.issuer.name for it in told}
            raise
        for retired in list(keeper.retired.all):
            with contextlib.suppress(Lost, EngineRefused):  # it is looked after elsewhere
                retired.conversation().must(self.keys(told, retired.pid), m.Heard)
        servers.keep()

    def listen(self) -> None:
        """To every engine that there is."""
        found = {it.pid: it.path for it in self.keeper.retired.all} | {self.keeper.pid: self.keeper.path}
        self.servers.are(frozenset(found))
        for pid in self.ears.keys() - found.keys():
            self.ears.pop(pid).end()
        for pid, path in found.items():
            if (ear := self.ears.get(pid)) is None:
                self.ears[pid] = Ear(pid, path, self.servers)
            else:
                ear.path = path

    def keys(self, told: list[Server], pid: int) -> m.Keys:
        """What came of asking, for the engine of that pid."""
        asked = [
            m.Asked(
                issuer=it.issuer.name,
                question=it.told.get(pid, 0),
                failed=bool(it.why),
                fetched_s=self.servers.fetched_s(it),
            )
            for it in told
        ]
        return m.Keys(issuers=asked)

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

"""Keeps the process that holds private keys where `[engine] keys = "apart"`: started before an engine is given a plan, given the
keys that the engine is not, and followed by another when it dies or hangs. Each engine has lines of its own to it. A supervisor
that is gone takes it away from no engine.

Read next: `orders.py`, which asks for it before each plan; `../engine/holding.py`, what is said.
"""

from __future__ import annotations

import base64
import json
import math
import os
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from everyhop.admin.modules import Modules
from everyhop.admin.telling import say
from everyhop.compile import Compiled
from everyhop.engine import holding as h
from everyhop.engine import messages as m
from everyhop.engine.control import Control, EngineRefused, sealed
from everyhop.engine.frames import Lost
from everyhop.engine.process import Started, start_keyholder
from everyhop.engine.sockets import cores
from everyhop.engine.tokens import Uses, findings
from everyhop.errors import EveryhopError, Refused

if TYPE_CHECKING:
    from everyhop.identity.tokens import TokenKey

PATIENCE_S = 2.0
"""For an order of ours; what it does takes a millisecond."""
BEGINS_S = 10.0
"""For the first, which waits until its process is there: on a host that is busy, for longer than it ever hangs."""
LOOK_S, HANGS_S = 1.0, 1.0
"""How often it is asked for its counts; one that says nothing for so long hangs."""
SETTLES_S = 1.0
"""After a plan was taken: what tokens of the one before sign, in handshakes that were under way, is signed by then."""
MORE_LINES = 2
"""Threads of an engine that shake hands beside its workers: with stores, and with collectors."""


Keys = dict[tuple[str, str], str]
"""By the piece of material and the side of handshakes that they are for, in PEM."""


@dataclass
class Running:
    """A keyholder that is our child."""

    process: Started
    control: Control
    engines: set[int] = field(default_factory=set)
    """Those that have lines to it, by their pid."""

    def end(self) -> None:
        self.control.close()
        self.process.end()


class Keyholding:
    """Of one supervisor's engines."""

    def __init__(self, sandbox: str) -> None:
        self.sandbox = sandbox
        self.running: Running | None = None
        self.current: Keys = {}
        """Of the plan that runs."""
        self.coming: Keys = {}
        """Of the one that is about to."""
        self.modules = Modules(sandbox)
        self.in_tokens: Uses = {}
        """As `current`, of keys that tokens have."""
        self.coming_in_tokens: Uses = {}
        self.settled_s = math.inf
        """When no handshake by the plan before is under way."""
        self.lines = 0
        self.is_behind_s: float | None = None
        """When to go on with what a keyholder or engines still have to be given; `None` where they have it all."""
        self.restarts = 0
        self.looked_s = 0.0
        self.counts: h.Counts | None = None

    def ready(self, control: Control, compiled: Compiled) -> bytes:
        """What the engine is to be given of the plan's material: without private keys where they are held apart, once somebody is
        there who signs by them.

        Raises `EveryhopError` where nobody is: no key goes to the engine instead. `Refused` where a token does not sign by one.
        """
        if compiled.plan.engine.keys == "engine":
            self.leave(control)
            return compiled.material.blob
        blob = json.loads(compiled.material.blob)
        there, tokens = uses(compiled), compiled.material.tokens
        coming = {(id_, role): tokens[id_] for id_, role in there if id_ in tokens}
        self.settled_s = math.inf
        if lacking := self.modules.hold(self.in_tokens, coming):
            raise Refused(findings(compiled, lacking), compiled.text)
        self.coming_in_tokens = coming
        in_files = {id_: it["key"] for id_, it in blob["certs"].items() if id_ not in tokens}
        self.coming = {(id_, role): in_files[id_] for id_, role in there if id_ in in_files}
        for it in blob["certs"].values():
            it["key"] = None
        threads = compiled.plan.engine.threads
        self.lines = (threads.threads if threads.count == "fixed" else cores()) + MORE_LINES
        self.hold()
        self.connect_modules()
        self.connect(control)
        return json.dumps(blob).encode()

    def runs(self) -> None:
        """The plan that was asked for last has been taken."""
        self.current = self.coming
        self.in_tokens = self.coming_in_tokens
        self.settled_s = time.monotonic() + SETTLES_S

    def hold(self) -> None:
        """The keys of the plan that runs as well: its certificates are shown until the next has been taken, and in handshakes that
        are under way then. Who begins another keyholder is nobody else: none is there without keys.

        Raises `Lost` where none takes them; that is tried again by `look`.
        """
        again = {(role, key) for (_, role), key in self.coming.items()}
        left = [it for it in self.current.items() if (it[0][1], it[1]) not in again]
        # Of one key in two places that of the coming plan counts, since it comes last.
        keys = [
            *map(in_token, self.in_tokens.items()),
            *map(in_file, left),
            *map(in_token, self.coming_in_tokens.items()),
            *map(in_file, self.coming.items()),
        ]
        material = sealed(json.dumps({"keys": keys}).encode())
        try:
            try:
                self.alive().control.must(h.Hold(), h.Held, [material])
            except Lost:
                # It died in between.
                self.alive().control.must(h.Hold(), h.Held, [material])
        except Lost:
            self.end_it()
            self.is_behind_s = time.monotonic() + LOOK_S
            raise
        finally:
            os.close(material)

    def alive(self) -> Running:
        """One that can be asked."""
        it = self.running
        if it is None or it.process.is_over() or it.control.is_lost():
            self.end_it()
            ours, theirs = socket.socketpair()
            with theirs:
                process = start_keyholder(theirs, self.sandbox)
            ours.settimeout(BEGINS_S)
            it = self.running = Running(process, Control(ours))
        return it

    def end_it(self) -> None:
        if self.running is not None:
            self.running.end()
        self.running = None

    def there(self) -> Running:
        """The one that was given keys."""
        if self.running is None:
            raise Lost("there is no keyholder")
        return self.running

    def connect_modules(self) -> None:
        it = self.there()
        self.modules.connect(it.control, it.process.process.pid, self.lines)

    def connect(self, control: Control) -> None:
        """Lines between an engine and the keyholder, unless it has some to this one. Of one that had keys before it is told, also
        where another supervisor gave it those."""
        it = self.there()
        welcome = control.must(m.Hello(), m.Welcome)
        pid = welcome.pid
        if pid in it.engines:
            return
        if welcome.plan_digest is not None and had_keys(control.must(m.Plan(), m.Running)):
            say(f"engine {pid} had private keys in its memory, and may have until it ends: everyhop upgrade")
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(self.lines)]
        try:
            it.control.must(h.Lines(), h.Held, [theirs.fileno() for _, theirs in pairs])
            control.must(m.Signers(), m.Heard, [ours.fileno() for ours, _ in pairs])
        finally:
            for one in (end for pair in pairs for end in pair):
                one.close()
        it.engines.add(pid)

    def leave(self, control: Control) -> None:
        """Keys are in engines again."""
        if self.running is None:
            return
        control.must(m.Signers(), m.Heard)
        self.running.engines.discard(control.must(m.Hello(), m.Welcome).pid)
        if not self.running.engines:
            self.end()

    def look(self, engines: Iterable[Control]) -> None:
        """One that died or hangs is followed by another, which has the same keys and lines to each of `engines`."""
        if time.monotonic() >= self.settled_s:
            self.settled_s = math.inf
            self.modules.only(self.in_tokens)
        self.modules.look()
        it = self.running
        if it is not None and (it.process.is_over() or self.hangs(it)):
            self.restarts += 1
            how = it.process.how() or "it does not answer"
            say(f"the keyholder is gone ({how}); starting another ({self.restarts})")
            self.end_it()
            self.is_behind_s = 0.0
        if self.is_behind_s is not None and time.monotonic() >= self.is_behind_s:
            # What fails is tried again, and no more often than others are looked after.
            self.is_behind_s = time.monotonic() + LOOK_S
            self.hold()
            self.bring(engines)
            self.is_behind_s = None
        if self.running is not None:
            self.connect_modules()
            self.modules.must_be_well()

    def bring(self, engines: Iterable[Control]) -> None:
        """Lines to each; one that takes none keeps no other from its own."""
        wrong: EveryhopError | None = None
        for control in engines:
            try:
                self.connect(control)
            except (Lost, EngineRefused) as e:
                wrong = e
        if wrong is not None:
            raise wrong

    def hangs(self, it: Running) -> bool:
        if it.control.is_lost():
            return True
        now_s = time.monotonic()
        if now_s < self.looked_s + LOOK_S:
            return False
        self.looked_s = now_s
        it.control.sock.settimeout(HANGS_S)
        try:
            self.counts = it.control.must(h.Counted(), h.Counts)
        except Lost:
            return True
        it.control.sock.settimeout(PATIENCE_S)
        return False

    def told(self) -> dict[str, object] | None:
        """For `status`; nothing where keys are in engines."""
        it = self.running
        if it is None:
            return None
        counts = self.counts
        return {
            "pid": it.process.process.pid,
            "restarts": self.restarts,
            "keys": len(set(self.current.values())),
            "modules": self.modules.told(),
            "signed": 0 if counts is None else sum(one.signed for one in counts.signed),
            "refused": {} if counts is None else {why: n for why, n in sorted(counts.refused.items()) if n},
        }

    def end(self) -> None:
        self.end_it()
        self.modules.end()
        self.current, self.coming, self.counts, self.is_behind_s = {}, {}, None, None
        self.in_tokens, self.coming_in_tokens = {}, {}


Entry = dict[str, object]


def in_file(it: tuple[tuple[str, str], str]) -> Entry:
    (id_, role), key = it
    return {"id": id_, "role": role, "key": key}


def in_token(it: tuple[tuple[str, str], TokenKey]) -> Entry:
    (id_, role), key = it
    certificate = base64.b64encode(key.certificate).decode()
    return {"id": id_, "role": role, "token": {"module": key.module, "certificate": certificate}}


def had_keys(it: m.Running) -> bool:
    """Whether what an engine runs came with private keys, as they all did before they could be apart."""
    together = it.plan is not None and json.loads(it.plan)["engine"].get("keys", "engine") == "engine"
    return together and any(one.key_sha256 for one in it.material)


def uses(compiled: Compiled) -> set[tuple[str, str]]:
    """Which pieces of material are for which side of handshakes."""
    plan = compiled.plan
    shown = {(cert.material, "server") for site in plan.sites for cert in site.certs}
    return shown | {(it.material, "client") for it in plan.identities}

"""Keeps a process for each PKCS#11 module that keys are asked by: started before the keyholder is told of its keys, and followed by another
when it dies, hangs or has lost its token. Keys of files, and those of other modules, do not wait for it. A PIN that was refused is not
tried again before it changes.

Read next: `keyholding.py`, whose keyholder asks them; `../engine/tokens.py`, what is said.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass, field

from everyhop.admin.telling import say
from everyhop.engine import holding as h
from everyhop.engine.control import Control
from everyhop.engine.frames import Lost
from everyhop.engine.tokens import A_KEY_S, Asked, Uses, begun, by_module, gone, has_answered, heard, hold, tell
from everyhop.errors import EveryhopError

LOOK_S, HANGS_S = 1.0, 1.0
"""How often one is asked for its counts; one that says nothing for so long hangs."""
STUCK_MS = 2000
"""A token that makes one signature for so long hangs."""
OFTEN, OFTEN_S = 8, 10.0
"""One that began well is followed by another at once, unless so many were in so long: then after the first pause."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 30.0
"""Between starts; doubled where one does not come so far that it signs."""
SOON_S = 0.3
"""By then most have begun, and who waits for it goes on."""
PATIENCE_S = 5.0
"""For a module that is loaded, and its tokens. A reload waits for them; whoever looks after what runs does not."""
MEANWHILE = "handshakes by it wait up to three seconds, then end at once as handshake/unsigned, or hop/unsigned towards a backend; all others go on"


@dataclass
class Kept:
    """A module, and its process while there is one."""

    module: str
    sandbox: str
    keys: Uses = field(default_factory=dict)
    asked: Asked | None = None
    lacking: list[h.Lacking] = field(default_factory=list)
    why: str = ""
    """What the last process ended by, while there is no other."""
    until_s: float | None = None
    """Until when it may take to tell what it signs by; `None` where it has told."""
    lined: int | None = None
    """The keyholder that has lines to it, by its pid."""
    restarts: int = 0
    died_s: list[float] = field(default_factory=list)
    looked_s: float = 0.0
    pause_s: float = 0.0
    again_s: float = 0.0
    signed: int = 0

    def end(self) -> None:
        if self.asked is not None:
            self.asked.end()
        self.asked, self.lined, self.until_s = None, None, None

    def begin(self) -> None:
        """A process that signs by what it can; `why` says that there is none."""
        self.starts()
        self.holds(self.keys)

    def starts(self) -> None:
        self.end()
        self.asked = begun(self.sandbox, PATIENCE_S)

    def tells(self) -> None:
        """As `holds`, without waiting for it."""
        assert self.asked is not None, "begun"
        try:
            tell(self.asked, self.module, self.keys, careful=True, whole=False)
            self.until_s = time.monotonic() + PATIENCE_S + A_KEY_S * len(self.keys)
        except Lost:
            self.lost()

    def is_ready(self) -> bool:
        """Whether it has told what it signs by, or took too long."""
        assert self.asked is not None and self.until_s is not None, "told"
        if has_answered(self.asked):
            try:
                self.lacking, self.why, self.until_s = heard(self.asked), "", None
            except Lost:
                self.lost()
            return True
        if time.monotonic() >= self.until_s:
            self.lost()
            return True
        return False

    def lost(self) -> None:
        if self.asked is not None:
            self.asked.process.wait(0.5)
            self.why = gone(self.asked.process)
        self.end()

    def holds(self, keys: Uses) -> None:
        assert self.asked is not None, "begun"
        try:
            self.lacking = hold(self.asked, self.module, keys, careful=True, whole=False)
            self.why = ""
        except Lost:
            self.lost()

    @property
    def waits_for_token(self) -> bool:
        """Whether it is worth asking again: a PIN that was refused is not."""
        return any(it.slug != "key/pin" for it in self.lacking)

    def trouble(self) -> str:
        """What is wrong with it, with what happens meanwhile; empty where nothing is."""
        if self.asked is None or (self.until_s is not None and self.why):
            return f"module {self.module}: {self.why}; {MEANWHILE}; it is started again within {max(self.pause_s, 1.0):g} s"
        if self.lacking:
            names = ", ".join(sorted({it.id for it in self.lacking}))
            again = (
                f"asked again within {max(self.pause_s, 1.0):g} s"
                if self.waits_for_token
                else "not asked again before that changes"
            )
            return f"module {self.module}: no key for {names}: {self.lacking[0].why}; {MEANWHILE}; {again}"
        return ""

    def told(self) -> dict[str, object]:
        return {
            "module": self.module,
            "pid": None if self.asked is None else self.asked.process.process.pid,
            "restarts": self.restarts,
            "keys": sorted({id_ for id_, _ in self.keys}),
            "signed": self.signed,
            "lacking": {it.id: it.why for it in self.lacking},
            "trouble": self.trouble(),
        }


def pins(keys: Uses) -> set[bytes | None]:
    return {key.pin for key in keys.values()}


class Modules:
    """Of one supervisor."""

    def __init__(self, sandbox: str) -> None:
        self.sandbox = sandbox
        self.all: dict[str, Kept] = {}

    def hold(self, current: Uses, coming: Uses) -> list[h.Lacking]:
        """Signs by the keys of both; gives those that only `coming` has and that cannot be signed by, and then holds what it held. A
        token that was lost holds up no other change."""
        lacking: list[h.Lacking] = []
        # What is shown until the coming plan is taken, by names of its own; last, since a token is logged in to by the first.
        before = {
            (f"{id_} before", role): key for (id_, role), key in current.items() if coming.get((id_, role)) != key
        }
        for module, keys in by_module(coming | before).items():
            it = self.all.setdefault(module, Kept(module, self.sandbox))
            wanted = {use[0] for use, key in coming.items() if key.module == module and current.get(use) != key}
            known, it.keys = it.keys, keys
            if it.asked is None or it.until_s is not None or it.asked.process.is_over():
                it.begin()
            elif pins(keys) - pins(known):
                # Only another login tells whether a token takes it: by a process that takes this one's place, or its end.
                it = self.tried(it, known)
            elif it.lacking or known != keys:
                it.holds(keys)
            if it.asked is None:
                lacking += [h.Lacking(id=id_, slug="key/module", why=it.why) for id_ in wanted]
            lacking += [one for one in it.lacking if one.id in wanted]
        if lacking:
            self.only(current)
        return lacking

    def tried(self, it: Kept, known: Uses) -> Kept:
        """A fresh process for its keys: kept in its place where that signs by all of them, or ended, and told of."""
        fresh = Kept(it.module, self.sandbox, it.keys, restarts=it.restarts)
        fresh.begin()
        if fresh.asked is not None and not fresh.lacking:
            it.end()
            self.all[it.module] = fresh
        else:
            it.keys = known
            fresh.end()
        return fresh

    def only(self, keys: Uses) -> None:
        """Lets go of all others."""
        left = by_module(keys)
        for module in [*self.all]:
            it = self.all[module]
            if module not in left:
                it.end()
                del self.all[module]
            elif it.keys != left[module]:
                it.keys = left[module]
                if it.asked is not None and it.until_s is None:
                    it.holds(it.keys)
                elif it.asked is not None:
                    it.starts()
                    it.tells()

    def connect(self, keyholder: Control, pid: int, lines: int) -> None:
        """Lines from the keyholder to each process that has none to this one."""
        for it in self.all.values():
            if it.asked is None or it.until_s is not None or it.lined == pid:
                continue
            pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(lines)]
            try:
                it.asked.control.must(h.Lines(), h.Held, [theirs.fileno() for _, theirs in pairs])
                keyholder.must(h.Module(module=it.module), h.Held, [ours.fileno() for ours, _ in pairs])
                it.lined = pid
            except Lost:
                if it.asked.process.is_over():
                    continue  # the next look sees to it
                raise
            finally:
                for one in (end for pair in pairs for end in pair):
                    one.close()

    def look(self) -> None:
        """One that died, hangs or has lost its token is followed by another, or asked again."""
        for it in self.all.values():
            now_s = time.monotonic()
            if it.asked is not None and it.until_s is not None:
                if it.is_ready():
                    self.settled(it)
                continue
            if it.asked is not None and (it.asked.process.is_over() or self.hangs(it, now_s)):
                it.why = it.asked.process.how() or "it does not answer"
                it.died_s = [*(then for then in it.died_s if then > now_s - OFTEN_S), now_s]
                it.again_s = max(it.again_s, now_s + (FIRST_PAUSE_S if len(it.died_s) > OFTEN else 0.0))
                it.end()
                it.restarts += 1
                say(f"the process of module {it.module} is gone ({it.why}); starting another ({it.restarts})")
            if it.asked is None and now_s >= it.again_s:
                it.starts()
                it.tells()
                if it.asked is not None and has_answered(it.asked, SOON_S) and it.is_ready():
                    self.settled(it)
            elif it.asked is not None and it.lacking and it.waits_for_token and now_s >= it.again_s:
                if len(it.lacking) == len(it.keys):
                    # Modules that do not see a token which came later see it once they begin.
                    it.starts()
                it.tells()

    def settled(self, it: Kept) -> None:
        if it.asked is None or it.lacking:
            it.pause_s = min(max(it.pause_s * 2, FIRST_PAUSE_S), LONGEST_PAUSE_S)
            it.again_s = time.monotonic() + it.pause_s
        else:
            it.pause_s = it.again_s = 0.0

    def hangs(self, it: Kept, now_s: float) -> bool:
        if it.asked is None:
            return False
        if it.asked.control.is_lost():
            return True
        if now_s < it.looked_s + LOOK_S:
            return False
        it.looked_s = now_s
        before = it.asked.control.sock.gettimeout()
        it.asked.control.sock.settimeout(HANGS_S)
        try:
            counts = it.asked.control.must(h.Counted(), h.Counts)
        except Lost:
            return True
        it.signed = sum(one.signed for one in counts.signed)
        it.asked.control.sock.settimeout(before)
        return counts.waits_ms > STUCK_MS

    def must_be_well(self) -> None:
        """Raises `EveryhopError` with what is wrong."""
        if wrong := [text for it in self.all.values() if (text := it.trouble())]:
            raise EveryhopError("; ".join(wrong))

    def told(self) -> list[dict[str, object]]:
        return [it.told() for it in self.all.values()]

    def end(self) -> None:
        self.only({})

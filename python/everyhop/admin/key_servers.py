"""Keys of issuers that are fetched: asked for beside the loop, by the hop that the plan has, and brought to the engine like a renewed
certificate. A server that is slow, gone or answers nonsense changes nothing: the last good set stays for a day, also over a
start, and after that the issuer's tokens are refused, and nothing else. Read next: `key_answers.py`, which judges what came.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from everyhop.admin.kept import Kept
from everyhop.admin.key_answers import NotUsed, Set, first_answer, judged, read_set
from everyhop.compile import Compiled
from everyhop.plan import Issuer, KeysServer, canonical, digest

DAY_S = 24 * 3600
"""How long the last good set is believed."""
FIRST_S = 3.0
"""How long a plan waits for keys that nobody has asked for yet."""

COOLDOWN_S = 30.0
"""After it was asked for a key that a token names, a server is not asked again for that."""
LONGEST_PAUSE_S = 60.0
TOGETHER = 8

Fetch = Callable[[Compiled, str], dict[str, object]]
"""Asks for the keys of an issuer of a plan; blocks."""


@dataclass
class Server:
    """Of one issuer."""

    issuer: Issuer
    of: Compiled
    """The plan that names it, with the material that its hop takes."""
    due: float
    tried: bool = False
    busy: bool = False
    failures: int = 0
    why: str = ""
    """Why it was not to be had when it was asked last; empty where it was."""
    asked: float | None = None
    question: dict[int, int] = field(default_factory=dict)
    """The last one of each engine, by its pid."""
    told: dict[int, int] = field(default_factory=dict)
    """Of those, up to which it was asked."""

    @property
    def id(self) -> str:
        return known_by(self.issuer)

    @property
    def keys(self) -> KeysServer:
        assert isinstance(self.issuer.keys, KeysServer)
        return self.issuer.keys


def known_by(it: Issuer) -> str:
    """What a set is kept under: who was asked, and how that was known."""
    return sha256(canonical(it.keys.model_dump(mode="json")).encode()).hexdigest()


class KeyServers:
    """Of the file `config`. `fetch` and `resolve` block, and are called on threads of their own; `wake` makes the loop look."""

    def __init__(
        self,
        config: Path,
        *,
        fetch: Fetch | None = None,
        now: Callable[[], float] = time.time,
        together: int = TOGETHER,
    ) -> None:
        self.fetch = fetch or first_answer
        self.now, self.together = now, together
        self.wake: Callable[[], object] = lambda: None
        self.file = Kept(config, "issuer-keys", "what was fetched of issuers' keys")
        self.changed = threading.Condition()
        self.servers: dict[str, Server] = {}
        self.good: dict[str, Set] = {}
        self.fresh: set[str] = set()
        """Issuers of which engines are to be told."""
        self.engines: frozenset[int] = frozenset()
        self.threads: list[threading.Thread] = []
        self.stopped = False

    # What a plan takes.

    def over(self, compiled: Compiled, wait_s: float = FIRST_S) -> Compiled:
        """The same with the keys that were fetched among its material. Who was never asked is asked now, and waited for a while."""
        wanted = self.follow(compiled)
        if not wanted:
            return compiled
        with self.changed:
            self.changed.wait_for(lambda: self.stopped or all(self.is_known(it) for it in wanted), wait_s)
            found = {it.name: fits for it in wanted if (fits := self.set_of(it)) is not None}
            self.fresh |= {it.name for it in wanted}
        return with_keys(compiled, found) if found else compiled

    def follow(self, compiled: Compiled) -> list[Issuer]:
        """From now on the servers of that plan are asked, whether or not an engine takes it. Gives their issuers."""
        wanted = [it for it in compiled.plan.issuers if isinstance(it.keys, KeysServer)]
        if not wanted and not self.servers:
            return wanted
        if not self.threads:
            self.good = self.kept()
        with self.changed:
            before, now = self.servers, time.monotonic()
            self.servers = {}
            for it in wanted:
                known = before.get(it.name)
                if known is not None and known.id == known_by(it):
                    known.issuer, known.of = it, compiled
                else:
                    known = Server(it, compiled, due=now)
                self.servers[it.name] = known
            # A thread for each server at most: one that hangs holds back no other.
            for _ in range(min(self.together, len(wanted)) - len(self.threads)):
                thread = threading.Thread(target=self.run, name=f"keys-{len(self.threads)}", daemon=True)
                self.threads.append(thread)
                thread.start()
            self.changed.notify_all()
        return wanted

    def is_known(self, it: Issuer) -> bool:
        return self.servers[it.name].tried or self.set_of(it) is not None

    def set_of(self, it: Issuer) -> Set | None:
        """The set that its tokens are verified by; `None` where there is none that is young enough and fits."""
        found = self.good.get(known_by(it))
        fits = found is not None and self.now() - found.fetched_s < DAY_S and found.algorithms & {*it.algorithms}
        return found if fits else None

    # Asking.

    def run(self) -> None:
        while (found := self.next()) is not None:
            server, issuer, compiled, question = found
            try:
                told = self.fetch(compiled, issuer.name)
                got: Set | NotUsed = judged(told, issuer.algorithms, self.now())
            except Exception as e:  # whatever it is: a thread that ended would ask nobody any more
                got = NotUsed(f"our fault: {type(e).__name__}: {e}")
            self.answered(server, got, question)

    def next(self) -> tuple[Server, Issuer, Compiled, dict[int, int]] | None:
        """A server that is due, once one is; nobody else asks it meanwhile."""
        with self.changed:
            while not self.stopped:
                now = time.monotonic()
                idle = [it for it in self.servers.values() if not it.busy]
                if ripe := [it for it in idle if it.due <= now]:
                    it = min(ripe, key=lambda s: s.due)
                    it.busy = True
                    return it, it.issuer, it.of, dict(it.question)
                self.changed.wait(min((it.due for it in idle), default=now + LONGEST_PAUSE_S) - now)
            return None

    def answered(self, it: Server, got: Set | NotUsed, question: dict[int, int]) -> None:
        now = time.monotonic()
        with self.changed:
            it.busy, it.tried, it.told = False, True, question
            if isinstance(got, Set):
                it.why, it.failures = "", 0
                it.due = now + got.holds_s * random.uniform(0.9, 1.0)  # not all edges at once
                self.good[it.id] = got
            else:
                it.why = got.why
                it.failures += 1
                it.due = now + min(2.0**it.failures, LONGEST_PAUSE_S)
            if it.question.items() - question.items():
                it.due = now  # what was asked meanwhile may be about a newer set
            self.fresh.add(it.issuer.name)
            self.changed.notify_all()
        self.wake()

    def lacks(self, issuer: str, question: int, engine: int) -> None:
        """The engine of that pid was shown a token that names a key which is not there."""
        now = time.monotonic()
        with self.changed:
            it = self.servers.get(issuer)
            if it is None:
                return
            it.question[engine] = question
            if it.asked is None or now - it.asked >= COOLDOWN_S:
                it.asked = it.due = now
                self.changed.notify_all()
            else:
                it.told = {**it.told, engine: question}
                self.fresh.add(issuer)
        self.wake()

    def ask_all(self) -> None:
        """Somebody wants what is there now."""
        with self.changed:
            for it in self.servers.values():
                it.due = time.monotonic()
            self.changed.notify_all()

    # What became of it.

    def is_new(self, running: Compiled) -> bool:
        """Tokens are to be verified by other keys than those that the engine has, or by none any more."""
        has = {str(e["id"]): e["chain_sha256"] for e in running.material.entries}
        with self.changed:
            now = {name: self.set_of(it.issuer) for name, it in self.servers.items()}
        return any(has.get(f"issuer/{name}") != (it.sha256 if it else None) for name, it in now.items())

    def is_of(self, running: Compiled) -> bool:
        """The servers of that plan are the ones that are asked: one that was refused may have named others."""
        named = {it.name: known_by(it) for it in running.plan.issuers if isinstance(it.keys, KeysServer)}
        return named == {name: it.id for name, it in self.servers.items()}

    def told(self) -> list[Server]:
        """Of whom the engine is to be told, each once."""
        with self.changed:
            names, self.fresh = self.fresh, set()
            return [replace(it) for name in sorted(names) if (it := self.servers.get(name)) is not None]

    def are(self, engines: frozenset[int]) -> None:
        """Those that there are, by their pids. One that is new knows nothing yet, and counts its questions from the beginning."""
        if engines == self.engines:
            return
        with self.changed:
            if engines - self.engines:
                self.fresh |= set(self.servers)
            for it in self.servers.values():
                it.question = {pid: n for pid, n in it.question.items() if pid in engines & self.engines}
                it.told = {pid: n for pid, n in it.told.items() if pid in engines & self.engines}
            self.engines = engines

    def fetched_s(self, it: Server) -> int | None:
        found = self.good.get(it.id)
        return None if found is None else int(found.fetched_s)

    def failing(self) -> list[tuple[Server, Set | None]]:
        """Those that were not to be had when they were asked last, and what is used instead."""
        with self.changed:
            return [(replace(it), self.set_of(it.issuer)) for it in self.servers.values() if it.why]

    # Over a start.

    def kept(self) -> dict[str, Set]:
        try:
            found = self.file.found()
            read = {
                key: read_set(str(it["text"]), min(float(it["fetched_s"]), self.now())) for key, it in found.items()
            }
            return {key: it for key, it in read.items() if isinstance(it, Set)}
        except (ValueError, TypeError, LookupError) as e:
            self.file.unreadable(e)
            return {}

    def keep(self) -> None:
        with self.changed:
            used = {s.id for s in self.servers.values()}
            young = {k: it for k, it in self.good.items() if k in used or self.now() - it.fetched_s < DAY_S}
            self.good = young
            found = {key: {"text": it.text, "fetched_s": it.fetched_s} for key, it in young.items()}
        if found:
            self.file.keep(found)

    def stop(self) -> None:
        with self.changed:
            self.stopped = True
            self.changed.notify_all()
        if self.servers:
            self.keep()


def with_keys(compiled: Compiled, found: Mapping[str, Set]) -> Compiled:
    material = compiled.material
    entries = list(material.entries)
    for name, it in found.items():
        entries.append({"id": f"issuer/{name}", "chain_sha256": it.sha256, "key_sha256": None, "not_after_s": None})
    entries.sort(key=lambda e: str(e["id"]))
    texts = json.dumps({f"issuer/{name}": it.text for name, it in found.items()})
    # A JSON object as `material` writes it; read and written anew, each key in it would be there once more.
    blob = material.blob.removesuffix(b"}") + f', "fetched": {texts}}}'.encode()
    return replace(compiled, material=replace(material, entries=entries, digest=digest(canonical(entries)), blob=blob))

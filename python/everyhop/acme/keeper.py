"""Keeps the certificates of all sites: which is next, one step of it at a time, and what is to be said of each.

`step` is for one thread, which may wait for an authority as long as `step_s`; `configure`, `status` and `in_force` are for
any other and wait for nothing. Nothing is kept in memory alone that a restart would miss. Read next: `work.py`, `order.py`.
"""

from __future__ import annotations

import datetime as dt
import heapq
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from everyhop.acme.by_hand import ByHand
from everyhop.acme.directory import Authority
from everyhop.acme.judge import Chain, kept, mark_of
from everyhop.acme.moments import Moments
from everyhop.acme.network import STEP_S
from everyhop.acme.order import KEYS, Order
from everyhop.acme.problem import Leaving, Stopped
from everyhop.acme.publisher import Publisher
from everyhop.acme.revocations import Revocations, serial_of
from everyhop.acme.site import Held, InForce, Site, Status, Stepped, Wanted
from everyhop.acme.standings import Silence, Standings
from everyhop.acme.state import Renewal, SiteState, site_state
from everyhop.acme.store import Store
from everyhop.acme.work import CLOCK, SKEW, Work
from everyhop.model.acme import site_folder

IDLE_S = 3600.0
"""Until the next step where there is nothing to do."""
AFTER_OURS_S = 60.0
"""After a step that failed by a disk that is full, or as bad."""


class Keeper:
    """`authorities` are asked in their order. `clock` tells the time, `lot` draws from [0, 1). Raises nothing once it is made."""

    def __init__(
        self,
        store: Store,
        authorities: Sequence[Authority],
        publisher: Publisher,
        *,
        contact: Sequence[str] = (),
        terms_agreed: bool = False,
        clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
        lot: Callable[[], float] = random.SystemRandom().random,
        step_s: float = STEP_S,
        is_shown: Callable[[str], bool] | None = None,
    ) -> None:
        assert authorities, "a keeper without an authority has nobody to ask"
        self.store, self.authorities, self.publisher = store, tuple(authorities), publisher
        self.clock, self.lot = clock, lot
        self.standings = Standings(store, self.authorities, clock, lot)
        self.revocations = Revocations(store, clock())
        self.moments = Moments(self.authorities, self.standings, clock, self.revocations.is_unwanted)
        self.is_shown = is_shown or self.is_in_force
        self.work = Work(self, contact, terms_agreed, step_s)
        self.fault: Exception | None = None
        self.latest = 0.0
        self.lock = threading.Lock()
        self.asked: tuple[Site, ...] | None = None
        self.sites: dict[str, Site] = {}
        self.states: dict[str, SiteState] = {}
        self.wanted: dict[tuple[str, str], Wanted] = {}
        self.queue: list[tuple[float, str, str]] = []
        self.at: dict[tuple[str, str], float] = {}
        self.told: dict[str, Status] = {}
        self.served: dict[tuple[str, str], InForce] = {}
        self.last: tuple[dict[str, Status], Silence | None, Sequence[Status]] | None = None
        self.by_hand = ByHand(self)

    def configure(self, sites: Sequence[Site]) -> None:
        """From the next step on these are kept; what was issued for others stays in the store."""
        assert all(kind in KEYS for site in sites for kind in site.keys), "kinds of keys are judged before"
        with self.lock:
            self.asked = tuple(sites)

    def status(self) -> Sequence[Status]:
        """As of the last step, in the sites' order; the very same for as long as nothing changes, so that whoever asks again and again
        looks through all of it once."""
        told, silent = self.told, self.standings.silence(self.now())
        if (last := self.last) is None or last[0] is not told or last[1] != silent:
            last = self.last = (told, silent, listed(told, silent))
        return last[2]

    def in_force(self) -> list[InForce]:
        """What is to be served now, also what has expired: whether to serve that is not decided here."""
        return [*self.served.values()]

    def close(self) -> None:
        """Ends connections; what was under way goes on with the next keeper."""
        self.work.close()

    def leave(self) -> None:
        """By any thread: the step under way ends soon, without a word on anybody; none is taken any more."""
        self.work.leave()

    def step(self) -> Stepped:
        """Does the one thing that is due, if any is."""
        try:
            return self.stepped()
        except Leaving:
            return Stepped(0.0)

    def stepped(self) -> Stepped:
        if self.work.leaving:
            raise Leaving
        if (found := self.taken()) != ():
            # What is there is served before anybody is asked for more.
            return Stepped(0.0, found, is_new=False)
        if (did := self.by_hand.step()) is not None:
            return did
        now = self.now()
        if now < self.latest - SKEW.total_seconds():
            # The clock was set back: what was put down by it would come too late.
            self.told = {name: self.noted(name) for name in self.sites}
        self.latest = now
        key = self.due(now)
        if key is None:
            return Stepped(self.wait_s())
        wanted, state = self.wanted[key], self.states[key[0]]
        before = wanted.in_force
        try:
            self.work.done(wanted, state)
        except Stopped as e:
            # The store does not take what is to be remembered: it is remembered here, and tried again.
            state.problem = e.problem
            state.wait(self.now(), max(state.next_at - self.now(), AFTER_OURS_S))
        changed: tuple[str, ...] = ()
        if wanted.in_force is not None and wanted.in_force is not before:
            changed = (wanted.site.name,)
            self.served = {**self.served, key: wanted.in_force}
        self.tell(wanted.site.name)
        fault, self.fault = self.fault, None
        return Stepped(self.wait_s(), changed, fault)

    def now(self) -> float:
        return self.clock().timestamp()

    def is_in_force(self, mark: str) -> bool:
        return any(it.mark == mark for one in self.told.values() for it in one.certificates)

    def wait_s(self) -> float:
        return min(self.next_s(), self.by_hand.wait_s(self.now()))

    def next_s(self) -> float:
        while self.queue and self.at.get(self.queue[0][1:]) != self.queue[0][0]:
            heapq.heappop(self.queue)
        return min(max(self.queue[0][0] - self.now(), 0.0), IDLE_S) if self.queue else IDLE_S

    def taken(self) -> tuple[str, ...]:
        """Takes what was configured meanwhile, with what the store has of it; those whose certificates were found there."""
        with self.lock:
            asked, self.asked = self.asked, None
        if asked is None:
            return ()
        sites = {site.name: site for site in asked}
        states, wanted, found = {}, {}, []
        for site in asked:
            path = site_folder(site.name)
            state = self.states.get(site.name) or self.read(f"{path}/state.json")
            if state.names != site.names:
                # Another set of names has failed at nothing yet; what was refused within the hour counts on.
                state.names, state.failures, state.next_at, state.problem, state.rests = site.names, 0, 0.0, None, {}
                for renewal in state.renewals.values():
                    renewal.issued = []
            elif self.sites.get(site.name) != site and is_ours(state):
                # Whoever was told of it may have mended it.
                state.failures, state.next_at = 0, 0.0
            states[site.name] = state
            for kind in site.keys:
                before = self.wanted.get((site.name, kind))
                it = Wanted(site, kind, f"{path}/{kind}")
                if before is not None:
                    it.in_force, it.chain, it.order = before.in_force, before.chain, before.order
                elif self.is_found(it, state):
                    found.append(site.name)
                wanted[site.name, kind] = it
        self.sites, self.states, self.wanted = sites, states, wanted
        self.served = {key: it.in_force for key, it in wanted.items() if it.in_force is not None}
        self.queue, self.at = [], {}
        self.told = {name: self.noted(name) for name in sites}
        return tuple(dict.fromkeys(found))

    def read(self, path: str) -> SiteState:
        try:
            return site_state(self.store, path)
        except Stopped as e:
            return SiteState(problem=e.problem)

    def is_found(self, wanted: Wanted, state: SiteState) -> bool:
        try:
            return self.found(wanted, state)
        except Stopped as e:
            state.problem = e.problem
            return False

    def found(self, wanted: Wanted, state: SiteState) -> bool:
        """Reads what the store has: the certificate, and the order under way."""
        order = self.store.read_json(f"{wanted.path}.order")
        if order is not None:
            try:
                wanted.order = Order.from_json(order)
            except (TypeError, LookupError):
                self.store.remove(f"{wanted.path}.order")
        if wanted.order is None and self.store.read(f"{wanted.path}.next.pem") is not None:
            self.store.remove(f"{wanted.path}.next.pem")
        data = self.store.read(f"{wanted.path}.pem")
        pair = kept(data) if data is not None else None
        if data is None or pair is None:
            return False
        if self.revocations.is_revoked(pair[0]):
            # Out of a copy of the store, or by whoever died before it was removed.
            self.store.remove(f"{wanted.path}.pem")
            return False
        self.take(wanted, state.renewals.setdefault(wanted.kind, Renewal(self.lot())), pair[0], data)
        return True

    def take(self, wanted: Wanted, renewal: Renewal, chain: Chain, data: bytes) -> None:
        """It is what is served from now on."""
        begin = data.index(b"-----BEGIN CERTIFICATE-----")
        wanted.chain = chain
        wanted.in_force = InForce(
            wanted.site.name,
            wanted.kind,
            chain.names,
            chain.begins,
            chain.ends,
            renewal.authority,
            chain.pem,
            data[:begin],
        )

    def due(self, now: float) -> tuple[str, str] | None:
        """The one that is next, if its time has come."""
        while self.queue and self.queue[0][0] <= now:
            at, name, kind = heapq.heappop(self.queue)
            if self.at.get((name, kind)) != at:
                continue
            # What it waits for may have moved since.
            if (moment := self.moments.next_at(self.wanted[name, kind], self.states[name], now)) <= now:
                return name, kind
            self.put((name, kind), moment)
        return None

    def put(self, key: tuple[str, str], at: float) -> None:
        self.at[key] = at
        heapq.heappush(self.queue, (at, *key))

    def tell(self, name: str) -> None:
        # Anew, not changed: another thread may be reading.
        self.told = {**self.told, name: self.noted(name)}

    def noted(self, name: str) -> Status:
        """What is to be said of a site; and when it is next is put down."""
        site, state, now = self.sites[name], self.states[name], self.now()
        wanted = [self.wanted[name, kind] for kind in site.keys]
        for it in wanted:
            self.put((name, it.kind), self.moments.next_at(it, state, now))
        served = [it.in_force for it in wanted if it.in_force is not None]
        whole = len(served) == len(wanted) and all(set(it.names) == set(site.names) for it in served)
        if (
            state.problem is not None
            and state.problem.code == CLOCK
            and all(it.begins <= self.clock() < it.ends for it in served)
        ):
            state.problem = None
        issuers = {it.url: it.name for it in self.authorities}
        certificates = tuple(self.held(it, state, issuers, now) for it in wanted)
        tries = [self.moments.order_at(it, state, now) for it in wanted]
        return Status(
            name,
            site.names,
            min(it.ends for it in served) if whole else None,
            dt.datetime.fromtimestamp(min(tries), dt.UTC),
            any(it.order is not None for it in wanted),
            state.problem,
            issuers.get(served[0].authority, served[0].authority) if served else None,
            certificates,
        )

    def held(self, it: Wanted, state: SiteState, issuers: Mapping[str, str], now: float) -> Held:
        there, chain = it.in_force, it.chain
        return Held(
            it.kind,
            None if chain is None else serial_of(chain),
            () if chain is None else chain.names,
            None if chain is None else chain.ends,
            None if there is None else issuers.get(there.authority, there.authority),
            dt.datetime.fromtimestamp(self.moments.order_at(it, state, now), dt.UTC),
            self.moments.why(it, state, now),
            it.order is not None,
            None if chain is None else mark_of(chain),
        )


def listed(told: Mapping[str, Status], silent: Silence | None) -> Sequence[Status]:
    if silent is None:
        return tuple(told.values())
    # Who is not due before an authority is asked again is not concerned.
    until, problem = dt.datetime.fromtimestamp(silent[0], dt.UTC), silent[1]
    return tuple(
        replace(it, problem=it.problem or problem, next_try=max(it.next_try, until)) if it.next_try <= until else it
        for it in told.values()
    )


def is_ours(state: SiteState) -> bool:
    """What was in the way was no authority, nor a clock, by which one would be asked again and again."""
    return state.problem is not None and state.problem.kind == "here" and state.problem.code != CLOCK

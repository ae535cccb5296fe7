"""One step for one certificate: asks for its window, begins an order, goes on with it, and puts in force what came of it.

Whatever stops it becomes a wait that fits (`backoff.py`), and what the site's status says. Read next: `order.py`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from everyhop.acme.account import Account
from everyhop.acme.backoff import HOUR, WEEK, delay_s, still_counted
from everyhop.acme.client import Client, identity_of
from everyhop.acme.directory import Authority, fetched
from everyhop.acme.due import ask_at
from everyhop.acme.judge import Chain
from everyhop.acme.names import refused
from everyhop.acme.network import Network
from everyhop.acme.order import Desk, Order, advanced, key_to_come, new_key, withdrawn
from everyhop.acme.problem import Leaving, Problem, Stopped, printable, stopped
from everyhop.acme.site import Wanted
from everyhop.acme.state import Renewal, SiteState
from everyhop.identity.unusable import Unusable
from everyhop.model.acme import site_folder

if TYPE_CHECKING:
    from josepy.jwk import JWK

    from everyhop.acme.keeper import Keeper

TALK_S = 3600.0
"""How long a directory is believed."""
CLOCK = "clock"
"""The code of a problem that goes as soon as the clock is right."""
SKEW = dt.timedelta(minutes=1)
"""What clocks may differ before it is told."""


class Work:
    """Talks to authorities on behalf of a keeper."""

    def __init__(self, keeper: Keeper, contact: Sequence[str], agreed: bool, step_s: float) -> None:
        self.keeper, self.contact, self.agreed, self.step_s = keeper, tuple(contact), agreed, step_s
        self.talks: dict[str, tuple[Client, JWK, float]] = {}
        self.published: set[tuple[str, str]] = set()
        self.begun: Network | None = None
        """One by which nobody is talked to yet."""
        self.leaving = False

    def leave(self) -> None:
        """By any thread: the step under way ends soon, and nothing is begun any more."""
        self.leaving = True
        for network in (self.begun, *(client.network for client, _, _ in [*self.talks.values()])):
            if network is not None:
                network.leave()

    def close(self) -> None:
        for client, _, _ in self.talks.values():
            client.network.close()
        self.talks.clear()

    def done(self, wanted: Wanted, state: SiteState) -> None:
        """Does what is due. Raises `Stopped` of the store alone."""
        keeper, now = self.keeper, self.keeper.now()
        renewal = state.renewals.setdefault(wanted.kind, Renewal(keeper.lot()))
        orders = wanted.order is not None or keeper.moments.order_at(wanted, state, now) <= now
        if not orders:
            self.ask(wanted, renewal, now)
            self.save(wanted, state)
            return
        authority = keeper.moments.choose(wanted, state, now)
        if authority is None:
            return
        try:
            self.ordered(wanted, state, renewal, authority, now)
            return
        except Stopped as e:
            problem = e.problem
        except Exception as e:  # nobody's certificate may fall behind because of another's
            self.keeper.fault = e
            problem = Problem("here", printable(f"a fault of Everyhop's own: {type(e).__name__}: {e}"))
        self.failed(wanted, state, authority, problem, now)
        self.save(wanted, state)

    def save(self, wanted: Wanted, state: SiteState) -> None:
        self.keeper.store.write_json(f"{site_folder(wanted.site.name)}/state.json", state.as_json())

    def talk(self, authority: Authority, now: float) -> tuple[Client, JWK]:
        """A client that speaks for our account there. Raises `Stopped`."""
        if (before := self.talks.get(authority.url)) is not None and 0 <= now - before[2] < TALK_S:
            before[0].network.begin()
            return before[:2]
        self.hang_up(authority)
        account = Account(self.keeper.store, authority, self.contact, self.agreed)
        network: Network | None = None
        try:
            key = account.key()
            self.begun = network = Network(authority.name, roots_of(authority), key, self.step_s)
            if self.leaving:
                raise Leaving
            client = Client(fetched(authority, network), network)
            account.settle(client)
            key = account.key()
            account.ready(client, key)
        except BaseException as e:
            if network is not None:
                network.close()
            if isinstance(e, Stopped) and e.problem.kind in {"outage", "limited", "here"}:
                self.keeper.standings.silent(authority.url, e.problem, now)
            raise
        self.keeper.standings.answers(authority.url)
        self.talks[authority.url], self.begun = (client, key, now), None
        return client, key

    def hang_up(self, authority: Authority) -> None:
        if (before := self.talks.pop(authority.url, None)) is not None:
            before[0].network.close()

    def ask(self, wanted: Wanted, renewal: Renewal, now: float) -> None:
        """For the window; what goes wrong with that is no trouble yet."""
        authority = next((it for it in self.keeper.authorities if it.url == renewal.authority), None)
        renewal.ask_at = ask_at(self.keeper.clock(), None).timestamp()
        if authority is None or wanted.chain is None or self.keeper.standings.free_at(authority.url, now) > now:
            return
        try:
            client, _ = self.talk(authority, now)
            if client.directory_.renewal_info is None:
                renewal.window = None
                return
            renewal.window, again_s = client.window(wanted.chain.leaf)
            renewal.ask_at = ask_at(self.keeper.clock(), again_s).timestamp()
        except Stopped as e:
            if e.problem.kind == "outage":
                self.hang_up(authority)

    def ordered(self, wanted: Wanted, state: SiteState, renewal: Renewal, authority: Authority, now: float) -> None:
        """Begins an order, or goes on with it."""
        if wanted.order is not None and not self.holds(wanted, authority):
            self.drop(wanted)
        if wanted.order is None:
            can = [kind for kind in wanted.site.challenges if kind in self.keeper.publisher.kinds]
            if (no := refused(wanted.site.names, can, public=authority.public)) != []:
                raise stopped("here", "these names cannot be had", *no, authority=authority.name)
        client, key = self.talk(authority, now)
        if wanted.order is None:
            self.begin(wanted, renewal, client, authority)
        order = wanted.order
        assert order is not None, "it was begun"
        desk = self.desk(wanted, state, renewal, client, key, now)
        if order.url is None:
            self.keeper.standings.ordered(authority.url, now)
        it = advanced(order, desk)
        if isinstance(it, Chain):
            self.take(wanted, state, renewal, it, authority, desk)
        else:
            wanted.go_on_at = now + it

    def holds(self, wanted: Wanted, authority: Authority) -> bool:
        """Whether the order under way is what is wanted yet, of whoever is asked."""
        order = wanted.order
        return order is not None and order.authority == authority.url and set(order.names) == set(wanted.site.names)

    def begin(self, wanted: Wanted, renewal: Renewal, client: Client, authority: Authority) -> None:
        profile = wanted.site.profile
        offered = client.directory_.profiles
        if profile is not None and offered and profile not in offered:
            said = f"has no profile {profile!r}, but {', '.join(sorted(offered))}"
            raise stopped("here", said, authority=authority.name)
        replaces = None
        if wanted.chain is not None and client.directory_.renewal_info and renewal.authority == authority.url:
            try:
                replaces = identity_of(wanted.chain.leaf)
            except ValueError:
                replaces = None
        names = tuple(dict.fromkeys(wanted.site.names))
        order = Order(authority.url, names, profile if offered else None, replaces)
        # The key first: an order without its key is worth nothing.
        self.keeper.store.write(f"{wanted.path}.next.pem", new_key(wanted.kind))
        self.keeper.store.write_json(f"{wanted.path}.order", order.as_json())
        wanted.order = order

    def desk(self, wanted: Wanted, state: SiteState, renewal: Renewal, client: Client, key: JWK, now: float) -> Desk:
        def issuing() -> None:
            moments = [dt.datetime.fromtimestamp(it, dt.UTC) for it in renewal.issued]
            recent = still_counted(moments, WEEK, self.keeper.clock())
            renewal.issued = [*(it.timestamp() for it in recent), now]
            self.save(wanted, state)

        return Desk(
            self.keeper.store,
            wanted.path,
            client,
            key,
            self.keeper.publisher,
            wanted.site.challenges,
            state.turn,
            now,
            self.published,
            issuing,
        )

    def take(
        self, wanted: Wanted, state: SiteState, renewal: Renewal, chain: Chain, authority: Authority, desk: Desk
    ) -> None:
        """In force first, and only then is what led there forgotten."""
        key = key_to_come(desk).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        data = key + chain.pem
        self.keeper.store.write(f"{wanted.path}.pem", data)
        renewal.lot, renewal.window, renewal.authority = self.keeper.lot(), None, authority.url
        renewal.asked = False
        renewal.ask_at = desk.now
        state.failures, state.next_at, state.rests = 0, 0.0, {}
        state.problem = self.of_clock(chain, authority)
        if chain.ends <= self.keeper.clock():
            # By our clock the next one would be as old: there is no point in asking before somebody has set it.
            state.wait(desk.now, delay_s("spent", 2, None, self.keeper.lot()))
        self.save(wanted, state)
        self.keeper.take(wanted, renewal, chain, data)
        self.keeper.standings.answers(authority.url)
        self.drop(wanted)

    def of_clock(self, chain: Chain, authority: Authority) -> Problem | None:
        """What its dates say of this machine's clock: it was issued just now."""
        now = self.keeper.clock()
        if chain.begins > now + SKEW:
            wrong = f"begins on {chain.begins:%Y-%m-%d %H:%M} UTC, so it is behind"
        elif chain.ends <= now:
            wrong = f"ended on {chain.ends:%Y-%m-%d %H:%M} UTC, so it is ahead"
        else:
            return None
        said = f"this machine's clock says {now:%Y-%m-%d %H:%M} UTC; the certificate that was issued just now {wrong}"
        return Problem("here", said, (), CLOCK, authority.name)

    def drop(self, wanted: Wanted) -> None:
        """The order is no more; what was published for it goes."""
        if wanted.order is not None:
            withdrawn(wanted.order, self.keeper.publisher)
            self.published -= {(it.authorization, it.token) for it in wanted.order.shown}
        wanted.order, wanted.go_on_at = None, 0.0
        self.keeper.store.remove(f"{wanted.path}.order")
        self.keeper.store.remove(f"{wanted.path}.next.pem")

    def failed(self, wanted: Wanted, state: SiteState, authority: Authority, problem: Problem, now: float) -> None:
        """Waits as long as fits, and says why."""
        state.problem = problem
        if problem.code == "accountDoesNotExist":
            Account(self.keeper.store, authority, self.contact, self.agreed).forget()
            self.hang_up(authority)
        silent = self.keeper.standings.free_at(authority.url, now) > now
        if problem.kind in {"outage", "here"} and silent:
            return  # Nothing of this site was asked: all wait for the authority.
        state.failures += 1
        wait_s = delay_s(problem.kind, state.failures, problem.retry_after_s, self.keeper.lot())
        match problem.kind:
            case "outage":
                self.hang_up(authority)
                state.rests[authority.url] = now + wait_s
            case "limited":
                state.rests[authority.url] = now + wait_s
            case "here":
                state.turn += 1
                state.wait(now, wait_s)
            case "refused" | "spent":
                state.turn += 1
                state.wait(now, wait_s)
                moments = [dt.datetime.fromtimestamp(it, dt.UTC) for it in state.refused]
                recent = still_counted(moments, HOUR, self.keeper.clock())
                state.refused = [*(it.timestamp() for it in recent), now]
                self.drop(wanted)


def roots_of(authority: Authority) -> str:
    """The file by which it is verified. Raises `Stopped`."""
    try:
        found = authority.roots()
    except Unusable as e:
        raise stopped("here", f"{e.what}; {e.mend}", authority=authority.name) from e
    if not Path(found).is_file():
        raise stopped("here", f"{found}, by which it would be verified, is not there", authority=authority.name)
    return found

"""When there is something to do for a certificate: when it is wanted, and when every limit and every wait lets it be.

It reads what is noted and does nothing. Read next: `backoff.py` and `due.py`, whose numbers these are.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence

from everyhop.acme.backoff import HOUR, MOST_ISSUED, MOST_REFUSED, free_at, issued_within
from everyhop.acme.directory import Authority
from everyhop.acme.due import reason, renew_at
from everyhop.acme.judge import Chain
from everyhop.acme.site import Wanted
from everyhop.acme.standings import Standings
from everyhop.acme.state import Renewal, SiteState

MOST_WAIT_S = 3600.0
"""Of an order under way: secondaries that take longer are asked after each hour."""


class Moments:
    """All times are seconds since 1970."""

    def __init__(
        self,
        authorities: Sequence[Authority],
        standings: Standings,
        clock: Callable[[], dt.datetime],
        unwanted: Callable[[Chain], bool],
    ) -> None:
        self.authorities, self.standings, self.clock = authorities, standings, clock
        self.unwanted = unwanted
        """Whether it is taken back, or is to be."""

    def next_at(self, wanted: Wanted, state: SiteState, now: float) -> float:
        """When there is something to do for it."""
        state.back_to(now)
        if wanted.order is not None:
            wanted.go_on_at = min(wanted.go_on_at, now + MOST_WAIT_S)
            return max(wanted.go_on_at, self.allowed(wanted, state, now))
        order_at = self.order_at(wanted, state, now)
        renewal = state.renewals.get(wanted.kind)
        if self.asks_window(wanted, renewal) and renewal is not None:
            return min(order_at, renewal.ask_at)
        return order_at

    def order_at(self, wanted: Wanted, state: SiteState, now: float) -> float:
        """When another order is placed."""
        return max(self.wants_at(wanted, state, now), self.may_order_at(wanted, state, now))

    def wants_at(self, wanted: Wanted, state: SiteState, now: float) -> float:
        """When another certificate is wanted, were there no limits."""
        renewal = state.renewals.get(wanted.kind)
        if wanted.chain is None or renewal is None or set(wanted.chain.names) != set(wanted.site.names):
            return now
        if renewal.asked or self.unwanted(wanted.chain):
            return now
        return renew_at(wanted.chain.begins, wanted.chain.ends, renewal.window, renewal.lot).timestamp()

    def may_order_by_hand_at(self, wanted: Wanted, state: SiteState, now: float) -> float:
        """As `may_order_at`, and the last of those that the authority issues is left for a renewal that must be."""
        renewal = state.renewals.get(wanted.kind) or Renewal()
        life = None if wanted.chain is None else wanted.chain.ends - wanted.chain.begins
        left = free(renewal.issued, MOST_ISSUED - 1, issued_within(life), now)
        return max(self.may_order_at(wanted, state, now), left)

    def why(self, wanted: Wanted, state: SiteState, now: float) -> str:
        """Why another one is ordered when it is."""
        renewal = state.renewals.get(wanted.kind)
        late = (
            "" if self.may_order_at(wanted, state, now) <= self.wants_at(wanted, state, now) else ", as soon as may be"
        )
        if wanted.chain is None or renewal is None:
            return f"there is none yet{late}"
        if set(wanted.chain.names) != set(wanted.site.names):
            return f"the site has other names{late}"
        if self.unwanted(wanted.chain):
            return f"this one is taken back{late}"
        if renewal.asked:
            return f"it was asked for by hand{late}"
        return f"{reason(wanted.chain.begins, wanted.chain.ends, renewal.window)}{late}"

    def may_order_at(self, wanted: Wanted, state: SiteState, now: float) -> float:
        """When another order may be placed: every limit has its word."""
        renewal = state.renewals.get(wanted.kind) or Renewal()
        life = None if wanted.chain is None else wanted.chain.ends - wanted.chain.begins
        return max(
            self.allowed(wanted, state, now),
            free(state.refused, MOST_REFUSED, HOUR, now),
            free(renewal.issued, MOST_ISSUED, issued_within(life), now),
        )

    def allowed(self, wanted: Wanted, state: SiteState, now: float) -> float:
        """When some authority may be asked for this site."""
        someone = min(self.free_of(it, wanted, state, now) for it in self.authorities)
        return max(state.next_at, someone)

    def free_of(self, authority: Authority, wanted: Wanted, state: SiteState, now: float) -> float:
        """When that one may be."""
        at = max(self.standings.free_at(authority.url, now), state.rests.get(authority.url, 0.0))
        if wanted.order is None or wanted.order.authority != authority.url:
            at = max(at, self.standings.may_order_at(authority.url, now))
        return at

    def choose(self, wanted: Wanted, state: SiteState, now: float) -> Authority | None:
        """The first that may be asked; an order under way stays where it is while that one may be."""
        free_now = [it for it in self.authorities if self.free_of(it, wanted, state, now) <= now]
        if wanted.order is not None:
            for it in free_now:
                if it.url == wanted.order.authority:
                    return it
        return free_now[0] if free_now else None

    def asks_window(self, wanted: Wanted, renewal: Renewal | None) -> bool:
        """RFC 9773 §4.3: not after it has expired, nor once it is to be replaced by other names; of whoever issued it."""
        if wanted.chain is None or renewal is None or set(wanted.chain.names) != set(wanted.site.names):
            return False
        there = any(it.url == renewal.authority for it in self.authorities)
        return there and self.clock() < wanted.chain.ends


def free(times: Sequence[float], most: int, within: dt.timedelta, now: float) -> float:
    moments = [dt.datetime.fromtimestamp(it, dt.UTC) for it in times]
    return free_at(moments, most, within, dt.datetime.fromtimestamp(now, dt.UTC)).timestamp()

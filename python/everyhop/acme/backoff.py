"""How long to wait after a no. Pure: how often, what was asked for and the lot come in.

The limits that must never be met are those of Let's Encrypt (letsencrypt.org/docs/rate-limits, as of June 2025): for each name and
account 5 failed authorizations an hour; for each account 300 new orders in 3 hours; for the same names 5 certificates in 7
days; for each address 10 new accounts in 3 hours. Each has its own number here, below it. Read next: `keeper.py`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from everyhop.acme.problem import KINDS, Kind

HOUR, WEEK = dt.timedelta(hours=1), dt.timedelta(days=7)
MOST_REFUSED = 3
"""Orders of a site that may be refused within an hour, of the 5 that a name has."""
MOST_ISSUED = 4
"""Certificates for the same names and kind of key within a week, of 5; one that is asked for by the authority's own window
does not count there and does here."""
MOST_ORDERS, ORDERS_WITHIN = 250, dt.timedelta(hours=3)
"""Of an account, of 300."""

FIRST_S: dict[Kind, float] = {"outage": 60, "limited": 3600, "refused": 600, "spent": 12 * 3600, "here": 60}
MOST_S: dict[Kind, float] = {"outage": 3600, "limited": 86400, "refused": 6 * 3600, "spent": 86400, "here": 3600}
"""Doubled from failure to failure up to that. Nothing was asked of an authority for what failed here; whoever does not answer
counts nothing either, but wants to come up in peace."""
JITTER = 0.25
LONGEST_S: dict[Kind, float] = {**dict.fromkeys(KINDS, WEEK.total_seconds()), "outage": 86400}
"""What an authority's `Retry-After` may be worth: the longest of its limits, and a day where it only does not answer, since
a certificate of six days has three left."""


def delay_s(kind: Kind, failures: int, retry_after_s: float | None, lot: float) -> float:
    """Seconds to wait after the `failures`-th failure in a row, `lot` being in [0, 1). Never less than it was asked for, up
    to `LONGEST_S`, and never less than the first."""
    grown = min(FIRST_S[kind] * 2.0 ** min(max(failures, 1) - 1, 20), MOST_S[kind])
    asked = min(max(retry_after_s or 0.0, 0.0), LONGEST_S[kind])
    return max(grown, asked) * (1 + JITTER * lot)


def issued_within(life: dt.timedelta | None) -> dt.timedelta:
    """The time in which `MOST_ISSUED` are allowed: a week, and less for certificates of an authority of one's own that last a day
    or an hour, since they could not be renewed otherwise."""
    return WEEK if life is None else min(WEEK, life * 1.5)


def free_at(times: Iterable[dt.datetime], most: int, within: dt.timedelta, now: dt.datetime) -> dt.datetime:
    """When another one is allowed, of which there may be `most` within a time, and these were: now, or later."""
    counted = sorted(it for it in times if now - within < it <= now)
    return now if len(counted) < most else counted[-most] + within


def still_counted(times: Iterable[dt.datetime], within: dt.timedelta, now: dt.datetime) -> list[dt.datetime]:
    """Those that matter yet. One in the future was noted by a clock that was set back since: it counts as now."""
    return sorted(min(it, now) for it in times if it > now - within)

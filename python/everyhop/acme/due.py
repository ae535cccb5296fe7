"""When a certificate is renewed. Pure: the time, the window and the lot that was drawn for the certificate come in.

A lot is drawn once for each certificate and kept, so that a restart asks for the same moment. Read next: `backoff.py`.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

SHORT = dt.timedelta(days=10)
"""Certificates that last less are renewed at half of their life, as certbot does: a third of six days leaves no weekend."""
LATEST = 10
"""Whatever a window says, a tenth of the life is left for failures: 9 days of 90, 14 hours of 6 days."""
SPREAD = 12
"""The lots of certificates that were issued together lie within a twelfth of their life."""
ASK_AGAIN = dt.timedelta(hours=6)
"""RFC 9773 §4.3.3: after an answer that says nothing of it, or a failure."""
SOONEST, SELDOMEST = dt.timedelta(minutes=1), dt.timedelta(days=1)
"""RFC 9773 §4.3.2: what `Retry-After` may be worth."""


@dataclass(frozen=True)
class Window:
    """When the authority suggests to renew (RFC 9773 §4.2)."""

    start: dt.datetime
    end: dt.datetime


def renew_at(begins: dt.datetime, ends: dt.datetime, window: Window | None, lot: float) -> dt.datetime:
    """The moment to order anew, `lot` being in [0, 1). Never later than a tenth of the life before the end."""
    life = max(ends - begins, dt.timedelta(0))
    latest = ends - life / LATEST
    if window is not None and window.start < window.end:
        return min(window.start + (window.end - window.start) * lot, latest)
    left = life / 2 if life < SHORT else life / 3
    return min(ends - left - life / SPREAD * lot, latest)


def reason(begins: dt.datetime, ends: dt.datetime, window: Window | None) -> str:
    """Why `renew_at` is when it is."""
    life = max(ends - begins, dt.timedelta(0))
    if window is not None and window.start < window.end:
        if window.start > ends - life / LATEST:
            return "a tenth of its life is left, and the authority suggests it later"
        return (
            f"the authority suggests it between {window.start:%Y-%m-%dT%H:%M:%SZ} and {window.end:%Y-%m-%dT%H:%M:%SZ}"
        )
    return "half of its life is left" if life < SHORT else "a third of its life is left"


def ask_at(now: dt.datetime, retry_after_s: float | None) -> dt.datetime:
    """When to ask for the window again."""
    if retry_after_s is None:
        return now + ASK_AGAIN
    return now + min(max(dt.timedelta(seconds=retry_after_s), SOONEST), SELDOMEST)

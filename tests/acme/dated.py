"""Orders that ask for a certificate that begins now, on a clock that is moved: Pebble does as it is asked, and has no clock that
could be set."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence

from everyhop.acme import client
from tests.acme.pebble import PROFILES


class Dated(client.NewOrder):
    clock: Callable[[], dt.datetime]

    def to_partial_json(self) -> dict[str, object]:
        life = dt.timedelta(seconds=PROFILES[self.profile or "default"]["validityPeriod"])
        begins = type(self).clock().replace(microsecond=0)
        return {**super().to_partial_json(), "notBefore": stamp(begins), "notAfter": stamp(begins + life)}


def stamp(moment: dt.datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def orders_by(clock: Callable[[], dt.datetime]) -> Callable[[Sequence[str], str | None, str | None], client.NewOrder]:
    """In the place of `client.new_order`."""
    plain = client.new_order

    class By(Dated):
        pass

    By.clock = staticmethod(clock)

    def new_order(names: Sequence[str], profile: str | None, replaces: str | None) -> client.NewOrder:
        it = plain(names, profile, replaces)
        return By(identifiers=it.identifiers, profile=it.profile, replaces=it.replaces)

    return new_order

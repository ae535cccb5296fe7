"""How long: `30m`, `12h`, `90d`."""

from __future__ import annotations

import datetime as dt
import re

from everyhop.errors import Misuse

UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def span(text: str) -> dt.timedelta:
    """Raises `Misuse`."""
    found = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", text)
    if found is None:
        raise Misuse(f"--lifetime takes 30m, 12h or 90d, not {text!r}")
    return dt.timedelta(**{UNITS[found[2]]: int(found[1])})

"""Names of clients that allow-lists have: one may stand for many. Read next: `clients.py`, `served.py`."""

from __future__ import annotations

from collections.abc import Collection


def beyond(now: Collection[str], was: Collection[str]) -> list[str]:
    """Those that let in somebody whom `was` does not."""
    return sorted(name for name in now if name not in was and whole_domain(name) not in was)


def whole_domain(name: str) -> str:
    """The entry that stands for all of the trust domain of a SPIFFE ID; of any other name that itself."""
    scheme, _, rest = name.partition("://")
    return f"spiffe://{rest.partition('/')[0]}/*" if scheme == "spiffe" else name

"""Public certificates by ACME (RFC 8555): ordered, renewed and kept, without the engine.

`Keeper` is the whole of it for whoever drives it: one step at a time, with a clock, a store and a publisher of challenges that are
given to it. Read next: `keeper.py`, then `order.py`.
"""

from everyhop.acme.directory import Authority, ExternalAccount, authority
from everyhop.acme.keeper import Keeper
from everyhop.acme.problem import Leaving, Problem, Stopped
from everyhop.acme.publisher import Publisher, Publishers
from everyhop.acme.site import InForce, Site, Status, Stepped
from everyhop.acme.store import Store

__all__ = [
    "Authority",
    "ExternalAccount",
    "InForce",
    "Keeper",
    "Leaving",
    "Problem",
    "Publisher",
    "Publishers",
    "Site",
    "Status",
    "Stepped",
    "Stopped",
    "Store",
    "authority",
]

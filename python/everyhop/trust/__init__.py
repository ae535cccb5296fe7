"""What each pattern can give, and a map of who must be trusted with what. Read next: `capabilities.py`, `kept.py`, `map.py`."""

from everyhop.trust.attackers import ATTACKERS, Exposure
from everyhop.trust.authorizers import Asking, asking
from everyhop.trust.capabilities import (
    ALONE,
    ANSWERED,
    CAPABILITIES,
    NEUTRAL,
    PATTERNS,
    Capability,
    Setting,
    missing,
    unmet,
)
from everyhop.trust.collectors import Collecting, collecting
from everyhop.trust.inspection import Inspected, inspected
from everyhop.trust.issuers import Keyed, keyed
from everyhop.trust.kept import Missing, Standing
from everyhop.trust.keys import Held, Sealed, held, sealed
from everyhop.trust.map import (
    CLIENTS_HOST,
    CLIENTS_NETWORK,
    DEMANDS,
    VISIBLE,
    Hop,
    Open,
    Reachable,
    RouteTrust,
    Signed,
    acceptances,
    matched,
    trust_map,
)
from everyhop.trust.stores import Counting, counting

__all__ = [
    "ALONE",
    "ANSWERED",
    "ATTACKERS",
    "CAPABILITIES",
    "CLIENTS_HOST",
    "CLIENTS_NETWORK",
    "DEMANDS",
    "NEUTRAL",
    "PATTERNS",
    "VISIBLE",
    "Asking",
    "Capability",
    "Collecting",
    "Counting",
    "Exposure",
    "Held",
    "Hop",
    "Inspected",
    "Keyed",
    "Missing",
    "Open",
    "Reachable",
    "RouteTrust",
    "Sealed",
    "Setting",
    "Signed",
    "Standing",
    "acceptances",
    "asking",
    "collecting",
    "counting",
    "held",
    "inspected",
    "keyed",
    "matched",
    "missing",
    "sealed",
    "trust_map",
    "unmet",
]

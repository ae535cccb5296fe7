"""What each pattern can give, and a map of who must be trusted with what. Read next: `capabilities.py`, `map.py`."""

from everyhop.trust.attackers import ATTACKERS, Exposure
from everyhop.trust.capabilities import CAPABILITIES, NEUTRAL, PATTERNS, Capability, unmet
from everyhop.trust.map import DEMANDS, VISIBLE, Hop, Reachable, RouteTrust, acceptances, matched, trust_map

__all__ = [
    "ATTACKERS",
    "CAPABILITIES",
    "DEMANDS",
    "NEUTRAL",
    "PATTERNS",
    "VISIBLE",
    "Capability",
    "Exposure",
    "Hop",
    "Reachable",
    "RouteTrust",
    "acceptances",
    "matched",
    "trust_map",
    "unmet",
]

"""What each pattern can give, and a map of who must be trusted with what. Read next: `capabilities.py`, `map.py`."""

from everyhop.trust.capabilities import CAPABILITIES, NEUTRAL, PATTERNS, Capability, unmet
from everyhop.trust.map import ATTACKERS, STRENGTH, VISIBLE, Exposure, Hop, RouteTrust, trust_map

__all__ = [
    "ATTACKERS",
    "CAPABILITIES",
    "NEUTRAL",
    "PATTERNS",
    "STRENGTH",
    "VISIBLE",
    "Capability",
    "Exposure",
    "Hop",
    "RouteTrust",
    "trust_map",
    "unmet",
]

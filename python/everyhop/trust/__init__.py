"""What each pattern can give. Read next: `capabilities.py`."""

from everyhop.trust.capabilities import CAPABILITIES, Capability, unmet

__all__ = ["CAPABILITIES", "Capability", "unmet"]

"""The inspector: a process of its own that judges requests by the rules of a web application firewall.

It is built of `waf/` where Go is, by `make waf`. Here is how it is spoken to; what it is asked about comes from whoever asks.
Read next: `inspector.py`, then `frames.py`; `requests.py` reads requests from a file.
"""

from __future__ import annotations

from everyhop.waf.frames import Exclusion, Field, Match, Policy, Request, RuleFile, Verdict
from everyhop.waf.inspector import Ended, Inspector, NoVerdict, RulesRefused, found

__all__ = [
    "Ended",
    "Exclusion",
    "Field",
    "Inspector",
    "Match",
    "NoVerdict",
    "Policy",
    "Request",
    "RuleFile",
    "RulesRefused",
    "Verdict",
    "found",
]

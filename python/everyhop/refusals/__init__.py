"""What is wrong, where, why it matters and how to mend it. Read next: `finding.py`, then `catalogue.py`."""

from everyhop.refusals.catalogue import ASKED, ONLINE, PAGES, Page
from everyhop.refusals.finding import Finding, masked, merged, ordered, part, render, to_json

__all__ = [
    "ASKED",
    "ONLINE",
    "PAGES",
    "Finding",
    "Page",
    "masked",
    "merged",
    "ordered",
    "part",
    "render",
    "to_json",
]

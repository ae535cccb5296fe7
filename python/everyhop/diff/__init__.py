"""What changed in trust between two plans; text that means the same is silence. Read next: `changes.py`, `relevance.py`."""

from everyhop.diff.changes import compare
from everyhop.diff.kinds import KINDS, Change
from everyhop.diff.relevance import FIELDS, Told

__all__ = ["FIELDS", "KINDS", "Change", "Told", "compare"]

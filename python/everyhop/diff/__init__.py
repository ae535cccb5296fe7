"""What changed in trust between two plans; text that means the same is silence. Read next: `changes.py`."""

from everyhop.diff.changes import KINDS, Change, compare

__all__ = ["KINDS", "Change", "compare"]

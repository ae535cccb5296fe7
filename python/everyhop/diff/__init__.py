"""What changed in trust between two plans; text that means the same is silence. Read next: `changes.py`."""

from everyhop.diff.changes import compare
from everyhop.diff.kinds import KINDS, Change
from everyhop.diff.settings import settings_changes

__all__ = ["KINDS", "Change", "compare", "settings_changes"]

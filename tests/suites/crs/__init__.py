"""The regression cases that the rule set's authors wrote, as an edge would send them. Read next: `cases.py`, `judge.py`."""

"""Takes a route's backends to mutual TLS, one after the other, while it serves; what turns out worse goes back by itself.

It never writes a file that `check` would refuse, and never moves a backend that did not prove itself and ask who we are.

Read next: `steps.py`, which is the order of it all on one page.
"""

from everyhop.migrate.asked import Asked
from everyhop.migrate.steps import Migration

__all__ = ["Asked", "Migration"]

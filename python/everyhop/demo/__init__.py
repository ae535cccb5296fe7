"""The argument, acted out. Its parts are real servers with real certificates, and the wire tests use the same ones.

Read next: `acts.py`, then `stage.py`.
"""

from everyhop.demo.acts import play
from everyhop.demo.stage import write_to

__all__ = ["play", "write_to"]

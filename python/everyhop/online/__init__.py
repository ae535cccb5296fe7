"""What `everyhop check --online` says of a configuration beside `check`: what the DNS has of its names. Read next: `asked.py`."""

from everyhop.online.asked import asked

__all__ = ["asked"]

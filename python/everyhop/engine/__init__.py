"""The handle of the engine's process: its socket, its start, the addresses it accepts on. Read next: `control.py`."""

from everyhop.engine.control import Control, Lost, listening, receive, send
from everyhop.engine.process import Started, start
from everyhop.engine.sockets import Bound, bind_all, open_log
from everyhop.engine.watch import Resolver, Watcher

__all__ = [
    "Bound",
    "Control",
    "Lost",
    "Resolver",
    "Started",
    "Watcher",
    "bind_all",
    "listening",
    "open_log",
    "receive",
    "send",
    "start",
]

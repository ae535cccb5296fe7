"""The handle of the engine's process: its socket, its start, the addresses it accepts on. Read next: `control.py`."""

from everyhop.engine.control import Control, EngineRefused
from everyhop.engine.frames import Lost, listening, packed, receive, send
from everyhop.engine.process import Started, start
from everyhop.engine.resolver import Resolver
from everyhop.engine.sockets import Bound, bind_all, open_log, threads_of

__all__ = [
    "Bound",
    "Control",
    "EngineRefused",
    "Lost",
    "Resolver",
    "Started",
    "bind_all",
    "listening",
    "open_log",
    "packed",
    "receive",
    "send",
    "start",
    "threads_of",
]

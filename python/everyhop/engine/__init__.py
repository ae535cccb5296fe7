"""The handle of the engine's process: its socket, its start, the addresses it accepts on. Read next: `control.py`."""

from everyhop.engine.control import Control, EngineRefused
from everyhop.engine.frames import Lost, listening, packed, receive, send
from everyhop.engine.process import Found, Started, start
from everyhop.engine.resolver import Resolver
from everyhop.engine.sockets import Bound, bind_all, cores, open_log

__all__ = [
    "Bound",
    "Control",
    "EngineRefused",
    "Found",
    "Lost",
    "Resolver",
    "Started",
    "bind_all",
    "cores",
    "listening",
    "open_log",
    "packed",
    "receive",
    "send",
    "start",
]

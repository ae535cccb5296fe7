"""Requirements in, best fit out: a pattern with its reasons, or a conflict with its ways out. Read next: `rules.py`."""

from everyhop.advise.configuration import configuration
from everyhop.advise.rules import Advice, Conflict, Requirements, Service, advise

__all__ = ["Advice", "Conflict", "Requirements", "Service", "advise", "configuration"]

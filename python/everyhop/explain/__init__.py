"""A map of trust made readable: sentences, a line for the terminal, a drawing, a page. Read next: `sentences.py`."""

from everyhop.explain.checks import about_checks, checks
from everyhop.explain.inventory import inventory
from everyhop.explain.page import Sheet, page
from everyhop.explain.plain import about_plain
from everyhop.explain.seen import Running
from everyhop.explain.sentences import about_capability, about_route, drawn
from everyhop.explain.svg import drawing

__all__ = [
    "Running",
    "Sheet",
    "about_capability",
    "about_checks",
    "about_plain",
    "about_route",
    "checks",
    "drawing",
    "drawn",
    "inventory",
    "page",
]

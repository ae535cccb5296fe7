"""A map of trust made readable: sentences, a line for the terminal, a drawing, a page. Read next: `sentences.py`."""

from everyhop.explain.page import page
from everyhop.explain.sentences import about_capability, about_route, line
from everyhop.explain.svg import drawing

__all__ = ["about_capability", "about_route", "drawing", "line", "page"]

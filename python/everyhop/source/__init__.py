"""From a file to values with places. Values come from the parser; places are looked up only when something must be said."""

from everyhop.source.document import MOST_BYTES, SECRETS, Document, Place, Syntax, Unfound, find, load, text_of
from everyhop.source.include import LISTS, Texts, Whole, matched, whole

__all__ = [
    "LISTS",
    "MOST_BYTES",
    "SECRETS",
    "Document",
    "Place",
    "Syntax",
    "Texts",
    "Unfound",
    "Whole",
    "find",
    "load",
    "matched",
    "text_of",
    "whole",
]

"""From a file to values with places. Values come from the parser; places are looked up only when something must be said."""

from everyhop.source.document import MOST_BYTES, Document, Place, Syntax, Unfound, find, load, text_of

__all__ = ["MOST_BYTES", "Document", "Place", "Syntax", "Unfound", "find", "load", "text_of"]

"""From a file to values with places. Values come from the parser; places are looked up only when something must be said."""

from everyhop.source.document import Document, Place, Syntax, Unfound, find, load

__all__ = ["Document", "Place", "Syntax", "Unfound", "find", "load"]

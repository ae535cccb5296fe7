"""Everyhop: an edge proxy that makes explicit, for every route, where TLS ends."""

__version__ = "0.1.0"

"""Certificates and keys as they lie in files: read, judged, hashed; never printed."""

from everyhop.identity.certificates import Pair, Roots, Unusable, read_pair, read_roots

__all__ = ["Pair", "Roots", "Unusable", "read_pair", "read_roots"]

"""Certificates and keys as they lie in files: read, judged, hashed; never printed."""

from everyhop.identity.certificates import Crl, Pair, Roots, Unusable, read_crl, read_names, read_pair, read_roots
from everyhop.identity.mark import Mark, mark_of

__all__ = ["Crl", "Mark", "Pair", "Roots", "Unusable", "mark_of", "read_crl", "read_names", "read_pair", "read_roots"]

"""Certificates and keys as they lie in files: read, judged, hashed; never printed."""

from everyhop.identity.certificates import SYSTEM, Crl, Pair, Roots, read_crl, read_names, read_pair, read_roots
from everyhop.identity.chain import Doubt, Role, doubts
from everyhop.identity.described import Described, Shelf, described, shelf
from everyhop.identity.mark import Mark, mark_of
from everyhop.identity.unusable import Unusable

__all__ = [
    "SYSTEM",
    "Crl",
    "Described",
    "Doubt",
    "Mark",
    "Pair",
    "Role",
    "Roots",
    "Shelf",
    "Unusable",
    "described",
    "doubts",
    "mark_of",
    "read_crl",
    "read_names",
    "read_pair",
    "read_roots",
    "shelf",
]

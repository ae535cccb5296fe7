"""Certificates and keys as they lie in files: read, judged, hashed; never printed."""

from everyhop.identity.certificates import SYSTEM, Pair, Roots, names_of, read_names, read_pair, read_roots, sha256
from everyhop.identity.chain import Doubt, Role, doubts
from everyhop.identity.described import Described, Shelf, described, shelf
from everyhop.identity.mark import Mark, mark_of
from everyhop.identity.readings import Readings
from everyhop.identity.revocation import Crl, read_crl
from everyhop.identity.unusable import Unusable

__all__ = [
    "SYSTEM",
    "Crl",
    "Described",
    "Doubt",
    "Mark",
    "Pair",
    "Readings",
    "Role",
    "Roots",
    "Shelf",
    "Unusable",
    "described",
    "doubts",
    "mark_of",
    "names_of",
    "read_crl",
    "read_names",
    "read_pair",
    "read_roots",
    "sha256",
    "shelf",
]

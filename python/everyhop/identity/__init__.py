"""Certificates and keys as they lie in files: read, judged, hashed; never printed.

Who only compares marks of files, or tells why one cannot be used, is not brought a library of cryptography: `lazily.py`.
"""

from typing import TYPE_CHECKING

from everyhop.identity.mark import Mark, mark_of
from everyhop.identity.unusable import Unusable
from everyhop.lazily import lazily

if TYPE_CHECKING:
    from everyhop.identity.certificates import SYSTEM, Pair, Roots, names_of, read_names, read_pair, read_roots, sha256
    from everyhop.identity.chain import Doubt, Role, doubts
    from everyhop.identity.described import Described, Shelf, shelf
    from everyhop.identity.readings import Readings
    from everyhop.identity.revocation import Crl, read_crl
else:
    __getattr__ = lazily(
        __name__,
        {
            **dict.fromkeys(
                ("SYSTEM", "Pair", "Roots", "names_of", "read_names", "read_pair", "read_roots", "sha256"),
                "certificates",
            ),
            **dict.fromkeys(("Doubt", "Role", "doubts"), "chain"),
            **dict.fromkeys(("Described", "Shelf", "shelf"), "described"),
            "Readings": "readings",
            **dict.fromkeys(("Crl", "read_crl"), "revocation"),
        },
    )

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

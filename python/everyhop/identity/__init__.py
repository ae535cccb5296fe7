"""Certificates and keys as they lie in files: read, judged, hashed; never printed."""

from everyhop.identity.certificates import Crl, Pair, Roots, Unusable, read_crl, read_pair, read_roots

__all__ = ["Crl", "Pair", "Roots", "Unusable", "read_crl", "read_pair", "read_roots"]

"""The closed lists of words that a configuration, its plan and what is said about both have in common: each said once.
`words.md` explains them."""

from typing import Literal, get_args

Pattern = Literal["passthrough", "mutual", "reencrypt", "plaintext"]
"""Where TLS ends for a route."""
Lies = Literal["passthrough", "mutual", "reencrypt", "plaintext", "answered"]
"""What lies behind for a route: its pattern, or nothing where the edge answers itself."""
HopTls = Literal["mutual", "reencrypt", "plaintext"]
"""What lies between the edge and a backend, where TLS ends at the edge."""
StartTls = Literal["postgres", "smtp", "imap", "ldap"]
"""A protocol that begins in the clear, with a request for TLS."""
Context = Literal["same-host", "isolated-network", "vendor-appliance", "legacy"]
"""Why plaintext was accepted."""
Data = Literal["public", "internal", "confidential", "major-incident"]
"""What a leak would be, the lesser first."""
Declared = Literal["undeclared", "public", "internal", "confidential", "major-incident"]
"""Of a route that may say nothing about it."""

CONTEXTS: tuple[str, ...] = get_args(Context)
GREETING: frozenset[StartTls] = frozenset({"smtp", "imap"})
"""Their servers speak first, once: before TLS where that is asked for, else within it."""
DATA: tuple[str, ...] = get_args(Data)
DECLARED: tuple[str, ...] = get_args(Declared)

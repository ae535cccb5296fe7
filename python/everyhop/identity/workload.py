"""What is taken of an agent of the SPIFFE Workload API: from which socket, and which of what it gives. It opens no connection: who asks
is `agent.py`.

Standards: SPIFFE Workload Endpoint (§2: the socket), Workload API (§5: X.509-SVIDs and bundles).
"""

from __future__ import annotations

import datetime as dt
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from everyhop.errors import Surroundings

if TYPE_CHECKING:
    from spiffe.workloadapi.x509_context import X509Context

LONGEST = 200
"""A trust domain whose roots a file can be named for; SPIFFE lets them be a little longer."""


@dataclass(frozen=True)
class Svid:
    """What an agent gave: an X.509-SVID with its key, and roots by trust domain. All in PEM."""

    pair: bytes = field(repr=False)
    roots: bytes
    bundles: dict[str, bytes]
    """Of the trust domains that are federated with its own."""
    ends: dt.datetime
    """When the certificate is over."""


def unfit_agent(agent: str) -> tuple[str, str] | None:
    """Why nothing is taken from that socket, and what mends it; `None` where something may be, also while nobody listens.

    Whoever can put a socket there decides who this edge is and whom it believes.
    """
    path = Path(agent.removeprefix("unix:"))
    if not path.is_absolute():
        return None  # refused elsewhere
    ours = {0, os.geteuid()}
    try:
        it, above = path.stat(), path.parent.stat()
    except (OSError, ValueError):
        return None  # it is not there yet
    if not stat.S_ISSOCK(it.st_mode):
        return f"{path} is no socket", "name the socket of the agent: SPIRE's is its socket_path"
    if it.st_uid not in ours:
        what = f"the socket {path} belongs to another user (uid {it.st_uid}), who could say who this edge is"
        return what, "run the agent as root, or as the user who runs Everyhop"
    others_write = above.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not above.st_mode & stat.S_ISVTX
    if above.st_uid not in ours or others_write:
        mode = stat.S_IMODE(above.st_mode)
        what = f"others can put a socket of theirs into {path.parent} (uid {above.st_uid}, mode {mode:04o})"
        return what, f"chmod go-w {path.parent}, and let it belong to root or to the user who runs Everyhop"
    return None


def chosen(context: X509Context, wanted: str) -> Svid:
    """Raises `Surroundings` where what was wanted is not in it, or is not whole."""
    them = {str(it.spiffe_id): it for it in reversed(context.x509_svids)}
    if (it := them.get(wanted)) is None:
        given = ", ".join(sorted(them)) or "nothing"
        raise Surroundings(f"the agent gives {given} and not {wanted}: register this workload as that, or correct id")
    key = it.private_key
    if key.public_key() != it.leaf.public_key():
        raise Surroundings(f"the agent gives {wanted} with a key that is not its own")
    chain = b"".join(cert.public_bytes(Encoding.PEM) for cert in it.cert_chain)
    bundles = {
        bundle.trust_domain.name: b"".join(sorted(cert.public_bytes(Encoding.PEM) for cert in bundle.x509_authorities))
        for bundle in context.x509_bundle_set.bundles
    }
    bundles = {domain: roots for domain, roots in bundles.items() if roots and len(domain) <= LONGEST}
    roots = bundles.pop(it.spiffe_id.trust_domain.name, b"")
    if not roots:
        raise Surroundings(f"the agent gives {wanted} and no roots of its trust domain")
    pair = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + chain
    return Svid(pair, roots, bundles, it.leaf.not_valid_after_utc)

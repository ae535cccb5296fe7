"""Asks an agent of the SPIFFE Workload API for who this process is. The library is loaded where there is such an identity alone.

Standards: SPIFFE Workload Endpoint (§2: the socket), Workload API (§5: X.509-SVIDs and bundles). Read next: `../admin/agents.py`.
"""

from __future__ import annotations

import datetime as dt
import importlib.util
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from everyhop.errors import Surroundings

if TYPE_CHECKING:
    from spiffe import WorkloadApiClient
    from spiffe.workloadapi.x509_context import X509Context

LONGEST = 200
"""A trust domain whose roots a file can be named for; SPIFFE lets them be a little longer."""
ANSWER_S = 10.0
EXTRA = "pip install 'everyhop[spiffe]'"


@dataclass(frozen=True)
class Svid:
    """What an agent gave: an X.509-SVID with its key, and roots by trust domain. All in PEM."""

    pair: bytes = field(repr=False)
    roots: bytes
    bundles: dict[str, bytes]
    """Of the trust domains that are federated with its own."""
    ends: dt.datetime
    """When the certificate is over."""


def is_installed() -> bool:
    return importlib.util.find_spec("spiffe") is not None


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


class Agent:
    """One connection to an agent. Raises `Surroundings` in the agent's words."""

    def __init__(self, agent: str) -> None:
        if not is_installed():
            raise Surroundings(f"what asks {agent} is not installed: {EXTRA}")
        if (unfit := unfit_agent(agent)) is not None:
            raise Surroundings(unfit[0])
        # The library of gRPC writes to standard error what is told here in one sentence.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        from spiffe import WorkloadApiClient
        from spiffe.errors import ArgumentError

        self.name = agent
        try:
            self.client: WorkloadApiClient = WorkloadApiClient(agent)
        except ArgumentError as e:
            raise Surroundings(f"nobody listens at {agent}") from e

    def now(self, wanted: str) -> Svid:
        from spiffe.errors import PySpiffeError

        try:
            context = self.client.fetch_x509_context(timeout=ANSWER_S)
        except PySpiffeError as e:
            raise Surroundings(f"the agent at {self.name} gave nothing: {plain(str(e))}") from e
        return chosen(context, wanted)

    def follow(self, wanted: str, took: Callable[[Svid], None], ended: Callable[[str], None]) -> Callable[[], None]:
        """`took` is called with each that comes, and `ended` where none does any more, by a thread of the library's. Gives what ends it."""

        def got(context: X509Context) -> None:
            try:
                took(chosen(context, wanted))
            except Surroundings as e:
                ended(str(e))

        def over(e: Exception) -> None:
            ended(f"the agent at {self.name} gives nothing more: {plain(str(e))}")

        return self.client.stream_x509_contexts(got, over, retry_connect=False).cancel

    def close(self) -> None:
        self.client.close()


def plain(text: str) -> str:
    """One line of it, and not more than somebody reads."""
    told = text.rpartition("Could not process response from the Workload API: ")[2]
    return " ".join(told.split())[:300]


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

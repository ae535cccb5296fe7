"""Asks an agent of the SPIFFE Workload API for who this process is. The library is loaded where there is such an identity alone.

Which socket it is asked at, and what of it is taken, is `workload.py`'s to say. Read next: `../admin/agents.py`.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from everyhop.errors import Surroundings
from everyhop.identity.workload import Svid, chosen, unfit_agent

if TYPE_CHECKING:
    from spiffe import WorkloadApiClient
    from spiffe.workloadapi.x509_context import X509Context

ANSWER_S = 10.0
EXTRA = "pip install 'everyhop[spiffe]'"


def is_installed() -> bool:
    return importlib.util.find_spec("spiffe") is not None


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

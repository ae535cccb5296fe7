"""Azure's client of blobs, whose Shared Key signs the path as it goes out: the judge behind the edge signs what arrived."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.applications import peer
from tests.applications.catalogue import PATTERNS
from tests.applications.lab import SITE, application_leaf, routes
from tests.applications.peer import Peer
from tests.kit import EdgeKit, Pki


@pytest.fixture(scope="module")
def front(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeKit]:
    folder, leaf = tmp_path_factory.mktemp("azure"), application_leaf(pki)
    store = Peer(peer.python("azure_blobs.py", "serve", leaf.chain, leaf.key, pki.internal.file), folder)
    try:
        it = EdgeKit(pki, SITE + routes("azure", store.read()["ports"], patterns=PATTERNS), threads=2)
        yield it
        it.close()
    finally:
        store.close()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_shared_keys_over_odd_names_and_blobs_in_parts_are_taken(front: EdgeKit, pki: Pki, pattern: str) -> None:
    """F01."""
    endpoint = f"https://azure.{pattern}.test:{front.port}/mine"
    told = peer.ask(peer.python("azure_blobs.py", "ask", pki.public.file, endpoint))
    assert told.pop("forged") == "AuthenticationFailed", "the judge judges"
    assert len(told) == 11 and set(told.values()) == {True}, json.dumps(told)

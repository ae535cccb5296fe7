"""boto3 against moto's S3, which here judges each signature by the request line and fields that arrived: what was signed is what came.

The judge (`peers/wsgi.py`) knows nothing of the edge, and nothing of boto3."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.applications import peer
from tests.applications.catalogue import PATTERNS
from tests.applications.lab import SITE, application_leaf, routes
from tests.applications.peer import Peer
from tests.kit import EdgeKit, Pki


@pytest.fixture(scope="module")
def front(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeKit]:
    folder, leaf = tmp_path_factory.mktemp("s3"), application_leaf(pki)
    store = Peer(peer.python("wsgi.py", "s3", folder, leaf.chain, leaf.key, pki.internal.file), folder)
    try:
        it = EdgeKit(pki, SITE + routes("s3", store.read()["ports"], patterns=PATTERNS), threads=2)
        yield it
        it.close()
    finally:
        store.close()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_signed_requests_for_odd_keys_large_objects_and_by_presigned_urls_are_taken(
    front: EdgeKit, pki: Pki, pattern: str
) -> None:
    """F01."""
    command = peer.python("s3.py", pki.public.file, f"https://s3.{pattern}.test:{front.port}", f"of-{pattern}")
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert set(told["keys"].values()) == {True} and len(told["keys"]) == 11, told["keys"]
    assert set(told["presigned"].values()) == {True} and len(told["presigned"]) == 11, told["presigned"]
    assert told["listed"] and told["range"]
    assert told["multipart"] == [12 << 20, True, "-3"], "in three parts"
    assert told["forged"] == "SignatureDoesNotMatch", "the judge judges"

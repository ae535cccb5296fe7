"""What several files of these tests stand on beside an edge."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit import Pki
from tests.kit.redis import SERVERS, Redis


@pytest.fixture(params=SERVERS)
def redis(request: pytest.FixtureRequest, pki: Pki, tmp_path: Path) -> Iterator[Redis]:
    """Each server that a store can be."""
    it = Redis(pki, tmp_path, server=request.param)
    yield it
    it.close()

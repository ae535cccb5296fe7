"""What several files of these tests stand on beside an edge."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit import Pki
from tests.kit.redis import Redis


@pytest.fixture
def redis(pki: Pki, tmp_path: Path) -> Iterator[Redis]:
    it = Redis(pki, tmp_path)
    yield it
    it.close()

"""The ground that all threats' tests share: one edge, since what one attack breaks the next request must find whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit import Pki
from tests.threats.ground import Ground


@pytest.fixture(scope="session")
def ground(pki: Pki) -> Iterator[Ground]:
    it = Ground.open(pki)
    yield it
    it.close()

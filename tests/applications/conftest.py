"""One lab for the whole step: its programs are started once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.applications.lab import Lab
from tests.kit import Pki


@pytest.fixture(scope="session")
def lab(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    it = Lab(pki, tmp_path_factory.mktemp("lab"))
    yield it
    it.close()

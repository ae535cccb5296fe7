"""What outlives a supervisor lies in a folder of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("everyhop.admin.kept.runtime_dir", lambda: tmp_path)
    return tmp_path

"""The inspector, where it is built."""

from __future__ import annotations

from pathlib import Path

import pytest

from everyhop.errors import Surroundings
from everyhop.waf import found


def built() -> Path:
    """The program. Skips where no Go was there to build it of."""
    try:
        return found()
    except Surroundings:
        pytest.skip("the inspector is not built, for want of Go 1.25 or newer: golang-go, and then make waf")

"""Authorities that these tests stand on, made fresh in a folder each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from everyhop.authority import Authority, begin
from everyhop.authority.policy import told

PASSPHRASE = b"correct horse battery"


@pytest.fixture
def own(tmp_path: Path) -> Callable[..., Authority]:
    """Makes one: for `corp.example`, its SPIFFE IDs and 10.0.0.0/8 where nothing else is said."""

    def make(
        domains: tuple[str, ...] = ("corp.example",),
        trusts: tuple[str, ...] = ("corp.example",),
        networks: tuple[str, ...] = ("10.0.0.0/8",),
        folder: str = "ca",
    ) -> Authority:
        return begin(tmp_path / folder, told("Inside", list(domains), list(trusts), list(networks)), PASSPHRASE)

    return make

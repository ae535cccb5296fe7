"""What an edge holds before anybody comes: the memory that each of its processes has for itself, by the kernel's count of pages.

What lies in files is not counted: it is shared, and given back when somebody else needs room. Here it is a build for development.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from everyhop.demo.stage import free_port
from tests.kit import EdgeKit
from tests.threats.measure import engine_pid

Edges = Callable[..., EdgeKit]

MIB = 1024
AT_MOST_KIB = {"supervisor": 39 * MIB, "engine": 7 * MIB}
"""Measured: 33.4 and 5.3 MiB. Of huge pages, which the allocator would ask for, each would hold 3.6 MiB more that nobody uses."""


def held_kib(pid: int, what: str) -> int:
    try:
        told = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except PermissionError:
        pytest.skip("only root may look at a process that let itself be closed")
    found = re.search(rf"^{what}:\s+(\d+) kB", told, re.M)
    assert found, told
    return int(found[1])


def test_an_edge_that_nobody_has_come_to_holds_little_and_no_huge_page(edge: Edges) -> None:
    at = f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{free_port()}"]\n'
    it = edge(at, threads=2)
    for name, pid in {"supervisor": it.edge.process.pid, "engine": engine_pid(it)}.items():
        found = held_kib(pid, "Anonymous")
        assert found < AT_MOST_KIB[name], f"the {name} holds {found} KiB"
    assert held_kib(engine_pid(it), "AnonHugePages") == 0

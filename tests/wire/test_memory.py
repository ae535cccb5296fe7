"""What an edge holds before anybody comes: the memory that each of its processes has for itself, by the kernel's count of pages, and which
libraries it has at all.

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
AT_MOST_KIB = {"supervisor": 31 * MIB, "engine": 6 * MIB}
"""Measured: 25.8 and 4.6 MiB, and after reloads 28 and 4.8. Of huge pages, which the allocator would ask for, each would hold 3.6 MiB more
that nobody uses."""

ROUTE = '[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n'


def of_kernel(pid: int, what: str) -> str:
    try:
        return Path(f"/proc/{pid}/{what}").read_text()
    except PermissionError:
        pytest.skip("only root may look at a process that let itself be closed")


def held_kib(pid: int, what: str) -> int:
    found = re.search(rf"^{what}:\s+(\d+) kB", told := of_kernel(pid, "smaps_rollup"), re.M)
    assert found, told
    return int(found[1])


def libraries(pid: int) -> str:
    return " ".join({Path(it).name for it in re.findall(r"(/\S+\.so\S*)$", of_kernel(pid, "maps"), re.M)})


@pytest.fixture
def begun(edge: Edges) -> EdgeKit:
    """As users begin one: one that was born with everything imported would hold it."""
    return edge(ROUTE.format(port=free_port()), threads=2, under=("env",))


def test_an_edge_that_nobody_has_come_to_holds_little_and_no_huge_page(begun: EdgeKit) -> None:
    for _ in range(2):
        for name, pid in {"supervisor": begun.edge.process.pid, "engine": engine_pid(begun)}.items():
            found = held_kib(pid, "Anonymous")
            assert found < AT_MOST_KIB[name], f"the {name} holds {found} KiB"
        assert held_kib(engine_pid(begun), "AnonHugePages") == 0
        for _ in range(3):
            assert begun.reload(ROUTE.format(port=free_port()))["reloaded"]


def test_what_only_compiling_needs_is_in_no_process_that_stays(begun: EdgeKit) -> None:
    """The library of cryptography of Python is what reads certificates: a reload, and one that is refused, leave it where it was."""
    broken = ROUTE.format(port=1).replace("plaintext", "mutual")
    for routes in ("", ROUTE.format(port=free_port()), broken):
        if routes:
            assert begun.reload(routes)["reloaded"] is (routes is not broken)
        supervisor, engine = libraries(begun.edge.process.pid), libraries(engine_pid(begun))
        assert "_door" in supervisor and "_pydantic_core" in supervisor
        assert "_rust.abi3" not in supervisor and "_ssl." not in supervisor, supervisor
        assert "_door" in engine and not re.search(r"_pydantic_core|_rust\.abi3|libcrypto|_socket", engine), engine

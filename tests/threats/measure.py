"""What an engine spends and holds: looked up in /proc, so that a promise about resources is judged from outside."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest

from tests.kit import EdgeKit


def engine_pid(kit: EdgeKit) -> int:
    """The child of the supervisor."""
    pid = kit.edge.process.pid
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def cpu_s(kit: EdgeKit) -> float:
    """CPU seconds of all its threads."""
    tasks = Path(f"/proc/{engine_pid(kit)}/task").glob("*/schedstat")
    return sum(int(p.read_text().split()[0]) for p in tasks) / 1e9


def rss_kib(kit: EdgeKit) -> int:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{engine_pid(kit)}/status").read_text())
    assert found
    return int(found[1])


def opened(kit: EdgeKit) -> list[str]:
    """What its descriptors lead to; skips the test where nobody may look."""
    try:
        found = list(Path(f"/proc/{engine_pid(kit)}/fd").iterdir())
    except PermissionError:
        pytest.skip("only root may look at the descriptors of an engine that is not dumpable")
    links = []
    for fd in found:
        with contextlib.suppress(OSError):
            links.append(str(fd.readlink()))
    return links


def descriptors(kit: EdgeKit) -> int:
    return len(opened(kit))


def established(kit: EdgeKit, port: int) -> int:
    """Its established connections to a port of this host."""
    ours = set(opened(kit))
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2].endswith(f":{port:04X}") and row[3] == "01" and f"socket:[{row[9]}]" in ours for row in rows)

"""A host of its own, which can vanish: a network namespace at the end of a cable, whose packets are lost from one moment on.

Nothing refuses and nothing answers then, as with a machine that lost its power behind a switch. What runs on this host cannot
do that: its kernel answers for it. Needs root and `ip`; where they lack, tests are skipped and say so.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Sequence
from typing import Any

import pytest

COUNT = itertools.count(1)
LOST, THERE = "02:00:00:00:00:ee", "02:00:00:00:00:02"


def ip(*words: str, check: bool = True) -> None:
    subprocess.run(["ip", *words], check=check, capture_output=True, text=True)


class Island:
    def __init__(self) -> None:
        number = next(COUNT)
        self.name = f"eh{os.getpid()}-{number}"
        self.cable = f"eh{os.getpid() % 1_000_000}x{number}"
        third = os.getpid() * 7 + number
        net = f"10.213.{third // 64 % 256}.{third % 64 * 4}"
        start, last = net.rsplit(".", 1)
        self.here, self.address = f"{start}.{int(last) + 1}", f"{start}.{int(last) + 2}"
        if os.geteuid() or shutil.which("ip") is None:
            pytest.skip("a network namespace needs root and ip")
        try:
            ip("netns", "add", self.name)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"there are no network namespaces here: {error.stderr.strip()}")
        ip("link", "add", self.cable, "type", "veth", "peer", "name", "shore", "netns", self.name)
        ip("-n", self.name, "link", "set", "shore", "address", THERE)
        ip("addr", "add", f"{self.here}/30", "dev", self.cable)
        ip("-n", self.name, "addr", "add", f"{self.address}/30", "dev", "shore")
        for where, what in ((("-n", self.name), "lo"), (("-n", self.name), "shore"), ((), self.cable)):
            ip(*where, "link", "set", what, "up")
        # As behind a router: the next hop is known, and never tells that the host is gone.
        ip("neigh", "replace", self.address, "lladdr", THERE, "dev", self.cable, "nud", "permanent")

    def run(self, command: Sequence[str], **more: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(["ip", "netns", "exec", self.name, *command], **more)

    def vanish(self) -> None:
        ip("-n", self.name, "link", "set", "shore", "address", LOST)

    def back(self) -> None:
        ip("-n", self.name, "link", "set", "shore", "address", THERE)

    def close(self) -> None:
        ip("link", "del", self.cable, check=False)
        ip("netns", "del", self.name, check=False)

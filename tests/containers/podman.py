"""Containers by podman, in the store that `build` filled: each of a test's own, gone with it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.kit.edge import until

ROOT = Path(__file__).resolve().parents[2]
STORE = ROOT / "target" / "containers"


def podman(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """With both streams as one in `stdout`."""
    done = subprocess.run(
        [
            "podman",
            "--root",
            f"{STORE}/store",
            "--runroot",
            f"{STORE}/run",
            "--tmpdir",
            f"{STORE}/tmp",
            *OPTIONS,
            *words,
        ],
        env={**os.environ, "CONTAINERS_CONF": f"{STORE}/containers.conf"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0 or not check, f"{words}: {done.stdout}"
    return done


OPTIONS = ("--storage-driver", "overlay", "--cgroup-manager", "cgroupfs")


class Container:
    """Begun by `words` of `podman run`, or one of a pod, which has a name already."""

    def __init__(self, name: str, *words: str) -> None:
        self.name = name
        if words:
            podman("run", "--detach", "--name", name, *words)

    @property
    def said(self) -> str:
        return podman("logs", self.name, check=False).stdout

    def says(self, what: str) -> None:
        """Raises once it has ended, or after a while."""
        until(lambda: what in self.said or not self.told("State.Running"), 60, lambda: self.said)
        assert what in self.said, self.said

    def told(self, field: str) -> Any:
        found = json.loads(podman("inspect", self.name).stdout)[0]
        for name in field.split("."):
            found = found[name]
        return found

    def does(self, *command: str) -> str:
        return podman("exec", self.name, *command).stdout

    def stop(self) -> int:
        """By SIGTERM; its exit code."""
        podman("stop", "--time", "60", self.name)
        return int(self.told("State.ExitCode"))

    def end(self) -> None:
        podman("rm", "--force", "--time", "0", "--volumes", self.name, check=False)


def there() -> None:
    if shutil.which("podman") is None or not (STORE / ".there").exists():
        pytest.skip("no images were built here: make containers")

"""A program of the applications: it says that it is ready in one line, then takes a job a line and gives its result a line.

What is missing here is said with its mend. Read next: `lab.py`.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
INSTALLED = ROOT / "target" / "applications"
PEERS = Path(__file__).parent / "peers"
NODE = shutil.which("node")
SIGN_IN = INSTALLED / "sign_in" / "oauth2-proxy"
PATIENCE_S = 90.0
"""More than any client waits by itself."""


def needs_node() -> None:
    """Node is no package of Debian's that the machine is asked for; where it is, it is used."""
    if NODE is None:
        pytest.skip("no node here: Debian's nodejs and npm, and then make applications")


def installed(*names: str) -> str:
    """A file that `make applications` has put there."""
    path = INSTALLED.joinpath(*names)
    assert path.exists(), f"{path} is missing: make applications installs what is pinned"
    return str(path)


def found(command: str) -> str:
    """A command of Debian's."""
    at = shutil.which(command, path=f"{os.environ['PATH']}:/usr/sbin")
    assert at is not None, f"{command} is missing: tools/machine check installs it, or says how"
    return at


def by_go(folder: str, program: str) -> str:
    """One whose modules want a newer Go than some machines have."""
    installed(folder, ".there")
    path = INSTALLED / folder / program
    if not path.exists():
        pytest.skip("no Go of 1.26 or newer here: golang-go, and then make applications")
    return str(path)


def collector() -> str:
    """The receiver of a collector."""
    return by_go("collector", "collector")


def sign_in() -> str:
    """oauth2-proxy."""
    return by_go(SIGN_IN.parent.name, SIGN_IN.name)


def has_sign_in() -> bool:
    return SIGN_IN.exists()


def istio() -> str:
    """Istio's server of ext_authz."""
    return by_go("istio", "extauthz")


def opa() -> str:
    """Open Policy Agent."""
    return by_go("opa", "opa")


def ratelimit() -> str:
    """A service of rate limits."""
    return by_go("ratelimit", "ratelimit")


def module(name: str) -> list[str]:
    """A program that a package of Python's is."""
    return [installed("python", "bin", "python"), "-m", name]


def python(script: str, *arguments: object) -> list[str]:
    return [installed("python", "bin", "python"), str(PEERS / script), *map(str, arguments)]


def node(script: str, *arguments: object) -> list[str]:
    assert NODE
    installed("node", "node_modules", "ws")
    return [NODE, str(PEERS / script), *map(str, arguments)]


def go(*arguments: object) -> list[str]:
    return [installed("bin", "gopeers"), *map(str, arguments)]


def ask(command: Sequence[str]) -> dict[str, Any]:
    """A client that does one job and tells of it in one line."""
    clean = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False, env=clean)
    assert done.returncode == 0, done.stderr[-3000:]
    told: dict[str, Any] = json.loads(done.stdout)
    return told


class Peer:
    """It ends with its standard input."""

    def __init__(self, command: Sequence[str], folder: Path, **environment: str) -> None:
        self.folder = folder
        self.errors = folder / f"{Path(command[0]).stem}-{Path(command[1]).stem}-{len(list(folder.iterdir()))}.err"
        clean = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        clean |= {"APPLICATIONS_NODE": str(INSTALLED / "node"), "HOME": str(folder), **environment}
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=clean, cwd=folder
            )

    def read(self) -> dict[str, Any]:
        """Its next line."""
        assert self.process.stdout
        line, ends = b"", time.monotonic() + PATIENCE_S
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, ends - time.monotonic()))
            assert ready, f"{self.errors.stem} says nothing for {PATIENCE_S} s: {self.said()}"
            more = os.read(self.process.stdout.fileno(), 1 << 16)
            assert more, f"{self.errors.stem} ended: {self.said()}"
            line += more
        told: dict[str, Any] = json.loads(line)
        return told

    def said(self) -> str:
        """The end of what it complained of."""
        return self.errors.read_text(errors="replace")[-3000:]

    def do(self, job: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(job).encode() + b"\n")
        self.process.stdin.flush()
        return self.read()

    def close(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                stream.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

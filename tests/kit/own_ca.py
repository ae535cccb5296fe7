"""The internal authority as tests use it: by its commands, and by what those stand on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from everyhop.demo.certificates import Leaf

PASSPHRASE = "correct horse battery"


class OwnCa:
    """An authority in a folder, published to another, by `everyhop ca`."""

    def __init__(self, folder: Path, *told: str) -> None:
        self.at, self.public = folder / "ca", folder / "public"
        self.public.mkdir()
        self.passphrase = folder / "passphrase"
        self.passphrase.touch(0o600)
        self.passphrase.write_text(f"{PASSPHRASE}\n")
        self.does("init", *told, "--publish", str(self.public), "--passphrase-file", str(self.passphrase))
        self.roots, self.lists = self.public / "roots.pem", self.public / "crl.pem"

    def asked(self, act: str, *more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "everyhop", "ca", act, str(self.at), *more]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def does(self, act: str, *more: str) -> str:
        done = self.asked(act, *more)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def leaf(self, out: Path, *names: str, use: str = "both") -> Leaf:
        self.does("issue", *names, "--for", use, "--out", str(out))
        return Leaf(out.with_name(f"{out.name}.pem"), out.with_name(f"{out.name}.key"))

    def list(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.does("list", "--all", "--json"))
        return found

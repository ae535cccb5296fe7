"""The internal authority as tests use it: by its commands, and by what those stand on."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from everyhop.demo.certificates import Leaf
from tests.kit.nursery import everyhop

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
        return everyhop("ca", act, str(self.at), *more)

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

    def served(self) -> Served:
        return Served(self)


class Served:
    """`everyhop ca serve`, on loopback, under the address as its name."""

    def __init__(self, own: OwnCa) -> None:
        command = [sys.executable, "-m", "everyhop", "ca", "serve", str(own.at), "--listen", "127.0.0.1:0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self.process.stdout is not None
        ready = self.process.stdout.readline()
        found = re.match(r"ready: .* port (\d+), as 127\.0\.0\.1\n", ready)
        assert found is not None, ready + self.process.stdout.read()
        self.port = int(found[1])
        self.said: list[str] = []
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def listen(self) -> None:
        assert self.process.stdout is not None
        self.said += iter(self.process.stdout.readline, "")

    def stop(self) -> int:
        self.process.terminate()
        code = self.process.wait(30)
        self.thread.join(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        assert "Traceback" not in "".join(self.said), self.said
        return code

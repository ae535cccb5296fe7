"""Redis of Debian, in the clear and with TLS that demands a certificate, which can be killed, stopped for a while and begun
again at the same ports."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from everyhop.demo.stage import free_port
from tests.kit import Pki
from tests.kit.edge import until
from tests.suites.peers import is_up


class Redis:
    def __init__(self, pki: Pki, folder: Path, *more: str) -> None:
        if shutil.which("redis-server") is None or shutil.which("redis-cli") is None:
            pytest.skip("redis-server and redis-tools of Debian are not installed")
        self.ports = {"plaintext": free_port(), "mutual": free_port()}
        said = ["--port", self.ports["plaintext"], "--tls-port", self.ports["mutual"], "--bind", "127.0.0.1"]
        said += ["--tls-cert-file", pki.backend.chain, "--tls-key-file", pki.backend.key, "--dir", folder, "--save", ""]
        said += ["--tls-ca-cert-file", pki.internal.file, "--tls-auth-clients", "optional", *more]
        self.command = ["redis-server", *map(str, said)]
        self.begin()

    def port(self, pattern: str) -> int:
        return self.ports["plaintext" if pattern == "plaintext" else "mutual"]

    def begin(self) -> None:
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL)
        until(lambda: all(map(is_up, self.ports.values())) or None, 30)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)

    def stop(self) -> None:
        """It answers nothing, and its sockets stay."""
        self.process.send_signal(signal.SIGSTOP)

    def goes_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def keys(self) -> list[str]:
        command = ["redis-cli", "-p", str(self.ports["plaintext"]), "KEYS", "*"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.split()

    def close(self) -> None:
        self.goes_on()
        self.kill()

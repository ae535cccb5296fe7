"""Pebble, Let's Encrypt's own authority for tests, with the DNS server of its people; each on ports of its own.

It is built by Go from its module; where Go is missing or too old, what needs it is skipped, and says so.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import ssl
import subprocess
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from everyhop.acme import Authority, ExternalAccount, authority
from everyhop.demo.stage import free_port
from tests.applications.peer import by_go
from tests.kit import Pki
from tests.kit.edge import until

PROFILES: dict[str, dict[str, Any]] = {
    "default": {"description": "ninety days", "validityPeriod": 7776000},
    "shortlived": {"description": "six days", "validityPeriod": 518400},
}
COUNT = itertools.count()


def program(name: str) -> str:
    return by_go("pebble", name)


class Program:
    """A server that ends with the test."""

    def __init__(self, command: Sequence[str], log: Path, ports: Sequence[int], **environment: str) -> None:
        self.log = log
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                command,
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **environment},
                cwd=log.parent,
            )
        until(lambda: self.process.poll() is not None or all(map(answers, ports)), told=self.said)

    def said(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]

    def alive(self) -> bool:
        return self.process.poll() is None

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


class Names:
    """Resolves every name to here, and holds the TXT records that it is told."""

    def __init__(self, folder: Path) -> None:
        command = program("pebble-challtestsrv")
        for _ in range(8):
            self.port, self.management = free_port(), free_port()
            off = ["-http01", "", "-https01", "", "-doh", "", "-tlsalpn01", "", "-defaultIPv6", ""]
            at = ["-dnsserver", f"127.0.0.1:{self.port}", "-management", f"127.0.0.1:{self.management}"]
            self.process = Program(
                [command, *off, *at], folder / f"names-{next(COUNT)}.log", [self.port, self.management]
            )
            if self.process.alive():
                return
        raise AssertionError(self.process.said())

    def tell(self, path: str, **it: str) -> None:
        request = urllib.request.Request(f"http://127.0.0.1:{self.management}/{path}", json.dumps(it).encode())
        with urllib.request.urlopen(request, timeout=10) as response:
            assert response.status == 200

    def close(self) -> None:
        self.process.close()


class Pebble:
    """One authority. `bad_nonces` in percent; `blocked` are names that it refuses."""

    def __init__(
        self,
        pki: Pki,
        folder: Path,
        *,
        resolver: int,
        http_port: int,
        tls_port: int,
        bad_nonces: int = 0,
        blocked: Sequence[str] = (),
        profiles: dict[str, Any] | None = None,
        external: dict[str, str] | None = None,
        **environment: str,
    ) -> None:
        command, self.pki = program("pebble"), pki
        here = folder / f"pebble-{next(COUNT)}"
        here.mkdir()
        leaf = pki.public.leaf(here.name, "127.0.0.1", "localhost")
        for _ in range(8):
            self.port, self.management = free_port(), free_port()
            config = {
                "listenAddress": f"127.0.0.1:{self.port}",
                "managementListenAddress": f"127.0.0.1:{self.management}",
                "certificate": str(leaf.chain),
                "privateKey": str(leaf.key),
                "httpPort": http_port,
                "tlsPort": tls_port,
                "ocspResponderURL": "",
                "externalAccountBindingRequired": external is not None,
                "externalAccountMACKeys": external or {},
                "domainBlocklist": list(blocked),
                "retryAfter": {"authz": 1, "order": 1},
                "keyAlgorithm": "ecdsa",
                "profiles": PROFILES if profiles is None else profiles,
            }
            (here / "config.json").write_text(json.dumps({"pebble": config}))
            self.process = Program(
                [command, "-config", str(here / "config.json"), "-dnsserver", f"127.0.0.1:{resolver}"],
                here / "log",
                [self.port, self.management],
                **{
                    "PEBBLE_VA_NOSLEEP": "1",
                    "PEBBLE_AUTHZREUSE": "0",
                    "PEBBLE_WFE_NONCEREJECT": str(bad_nonces),
                    "PEBBLE_CHAIN_LENGTH": "2",
                    **environment,
                },
            )
            if self.process.alive():
                return
        raise AssertionError(self.process.said())

    def authority(self, external: ExternalAccount | None = None) -> Authority:
        return authority(f"https://127.0.0.1:{self.port}/dir", self.pki.public.file, external)

    def said(self) -> str:
        return self.process.log.read_text(errors="replace")

    def of_serial(self, serial: str) -> dict[str, Any]:
        """What it says of a certificate, at its own door for that."""
        roots = ssl.create_default_context(cafile=str(self.pki.public.file))
        url = f"https://127.0.0.1:{self.management}/cert-status-by-serial/{serial}"
        with urllib.request.urlopen(url, timeout=10, context=roots) as response:
            found: dict[str, Any] = json.load(response)
            return found

    def is_revoked(self, serial: str) -> bool:
        return bool(self.of_serial(serial)["Status"] == "Revoked")

    def close(self) -> None:
        self.process.close()

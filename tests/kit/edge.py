"""A running edge with a configuration of the test's own, and the certificates that all tests share."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from everyhop.admin import Client
from everyhop.demo.certificates import Authority, Leaf
from everyhop.demo.stage import Edge, free_port
from everyhop.errors import Surroundings
from everyhop.evidence import read_observation
from tests.kit.logs import whole_lines
from tests.kit.nursery import Quick, everyhop


class Pki:
    """Authorities and leaves, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.public = Authority(folder, "Public CA")
        self.internal = Authority(folder, "Internal CA")
        self.site = self.public.leaf("edge", "a.test", "b.test", "c.test", "*.w.test")
        self.pass_leaf = self.public.leaf("pass", "pass.test")
        self.client = self.public.leaf("client", "client.test", "spiffe://test/client")
        self.identity = self.internal.leaf("identity", "edge.internal")
        self.backend = self.internal.leaf("backend", "backend.internal")
        self.other = self.internal.leaf("other", "other.internal")


HEAD = """\
version = 1
[engine]
threads = {threads}
drain_s = {drain_s}
{engine}
[admin]
socket = "{folder}/admin.sock"
[log]
access = "{folder}/access.log"
{log}
[[listener]]
name = "public"
bind = ["127.0.0.1:{port}"]
{listener}
"""

SITE = """\
[[site]]
name = "edge"
hosts = ["a.test", "b.test", "c.test", "*.w.test"]
certs = [{{ chain = "{pki}/edge.pem", key = "file:{pki}/edge.key" }}]
{site}
[[identity]]
name = "edge"
chain = "{pki}/identity.pem"
key = "file:{pki}/identity.key"
"""

EVERY_PATTERN = """\
[[route]]
name = "plaintext"
host = "a.test"
tls = "plaintext"
to = ["127.0.0.1:{plaintext}"]
[[route]]
name = "reencrypt"
host = "b.test"
tls = "reencrypt"
to = ["127.0.0.1:{reencrypt}"]
verify = {{ ca = "{{pki}}/internal-ca.pem", name = "backend.internal" }}
[[route]]
name = "mutual"
host = "c.test"
tls = "mutual"
to = ["127.0.0.1:{mutual}"]
verify = {{ ca = "{{pki}}/internal-ca.pem", name = "backend.internal" }}
present = "edge"
[[route]]
name = "passthrough"
host = "pass.test"
tls = "passthrough"
to = ["127.0.0.1:{passthrough}"]
"""
"""A route of each pattern, by the ports of their backends; the authorities' folder is filled in later."""


class EdgeKit:
    """Writes `routes` into a configuration, runs it, and tells what it did."""

    def __init__(
        self,
        pki: Pki,
        routes: str,
        *,
        listener: str = "",
        site: str | None = "",
        more: str = "",
        threads: int = 1,
        drain_s: int = 5,
        engine: str = "",
        log: str = "",
        under: Sequence[str] = (),
    ) -> None:
        self.pki = pki
        self.folder = Path(tempfile.mkdtemp(prefix="eh-"))
        self.config = self.folder / "everyhop.toml"
        self.log = self.folder / "access.log"
        self.parts: dict[str, Any] = {"listener": listener, "threads": threads, "drain_s": drain_s, "engine": engine}
        self.parts["log"] = log
        self.is_whole = not log
        """Its lines are observations in their exact form."""
        self.site, self.more = site, more
        for attempt in range(3):
            self.port = free_port()
            self.write(routes)
            self.edge = Edge(self.config, under=under) if under else Quick(self.config)
            try:
                self.edge.wait_for("ready:", 60)
                return
            except Surroundings as e:
                # Somebody else took the port in between.
                if attempt == 2 or "is in use" not in str(e):
                    raise

    def write(self, routes: str) -> None:
        head = HEAD.format(folder=self.folder, port=self.port, **self.parts)
        site = (
            ""
            if self.site is None
            else SITE.format(pki=self.pki.folder, site=self.site.replace("{pki}", str(self.pki.folder)))
        )
        self.config.write_text(
            head + site + routes.replace("{pki}", str(self.pki.folder)) + self.more, encoding="utf-8"
        )

    def reload(self, routes: str) -> dict[str, Any]:
        self.write(routes)
        return self.admin("reload")

    def admin(self, ask: str, **fields: object) -> dict[str, Any]:
        return Client(str(self.config)).ask(ask, **fields)

    def status(self) -> dict[str, Any]:
        engine: dict[str, Any] = self.admin("status")["engine"]
        return engine

    def lines(self) -> list[dict[str, Any]]:
        """The observations written so far."""
        return [json.loads(line) for line in whole_lines(self.log)]

    def all_lines(self) -> list[dict[str, Any]]:
        """Ends the edge, and gives every observation: what ends last, such as a tunnel, has its line then."""
        self.edge.stop()
        return self.lines()

    def line(self, found: Callable[[dict[str, Any]], bool], seconds: float = 30.0) -> dict[str, Any]:
        """The first observation for which `found` holds."""
        return until(
            lambda: next((line for line in self.lines() if found(line)), None), seconds, lambda: str(self.lines())
        )

    def explained(self) -> list[dict[str, Any]]:
        """The map of trust of its configuration, a route each."""
        found: list[dict[str, Any]] = json.loads(self.cli("explain", str(self.config), "--json").stdout)
        return found

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        # So wide that no sentence is broken that a test looks for.
        return everyhop(*arguments, env={**os.environ, "COLUMNS": "160"})

    def close(self) -> None:
        code = self.edge.stop()
        said = "\n".join(self.edge.said)
        for line in self.log.read_text().splitlines() if self.is_whole and self.log.exists() else []:
            read_observation(line)
        shutil.rmtree(self.folder, ignore_errors=True)
        assert "panicked" not in said, said
        assert "Traceback" not in said, said
        assert code == 0, said


T = TypeVar("T")


def until(
    look: Callable[[], T | None], seconds: float = 30.0, told: Callable[[], str] = lambda: "", pause_s: float = 0.02
) -> T:
    """Looks until there is something. A deadline, not a sleep: it goes on as soon as it can.

    The last look is one that began after the deadline: who was held up in between has missed nothing.
    """
    deadline, late = time.monotonic() + seconds, False
    while not late:
        late = time.monotonic() > deadline
        if found := look():
            return found
        time.sleep(pause_s)
    raise AssertionError(f"it did not come within {seconds} s {told()}")


def leaf(pki: Pki, name: str) -> Leaf:
    return Leaf(pki.folder / f"{name}.pem", pki.folder / f"{name}.key")

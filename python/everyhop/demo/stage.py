"""The stage: certificates, backends, relays in front of them, a configuration, and an edge to run it."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from everyhop.demo.backends import Backend
from everyhop.demo.certificates import Authority
from everyhop.demo.relay import Relay
from everyhop.errors import Surroundings
from everyhop.screen import line

NAMES = {"pay": "passthrough", "api": "mutual", "shop": "reencrypt", "wiki": "plaintext"}
DOMAIN = "demo.test"

CONFIGURATION = """\
version = 1

[[listener]]
name = "public"
bind = ["127.0.0.1:{port}"]

[[site]]                                    # TLS for these names ends here
name  = "edge"
hosts = ["api.{domain}", "shop.{domain}", "wiki.{domain}"]
certs = [{{ chain = "certificates/edge.pem", key = "file:certificates/edge.key" }}]

[[identity]]                                # what the edge shows to backends
name  = "edge"
chain = "certificates/identity.pem"
key   = "file:certificates/identity.key"

[[route]]
name = "pay"
host = "pay.{domain}"
tls  = "passthrough"                        # one session from client to backend; the edge is blind
to   = ["127.0.0.1:{pay}"]

[[route]]
name    = "api"
host    = "api.{domain}"
tls     = "mutual"                          # TLS ends here; towards the backend both sides prove who they are
to      = ["127.0.0.1:{api}"]
verify  = {{ ca = "certificates/internal-ca.pem", name = "api.internal" }}
present = "edge"

[[route]]
name   = "shop"
host   = "shop.{domain}"
tls    = "reencrypt"                        # TLS ends here; the backend proves itself, we do not
to     = ["127.0.0.1:{shop}"]
verify = {{ ca = "certificates/internal-ca.pem", name = "shop.internal" }}

[[route]]
name     = "wiki"
host     = "wiki.{domain}"
tls      = "plaintext"                      # readable behind the edge: someone signed for it
to       = ["127.0.0.1:{wiki}"]
off_host = true                             # pretend that it is on another machine
[route.acceptance]
owner   = "demo@example.com"
why     = "to show what plaintext behind a proxy means"
context = "legacy"
since   = {since}
until   = {until}

[log]
access = "{log}"

[admin]
socket = "{admin}"
"""


def certificates(folder: Path) -> tuple[Authority, Authority]:
    """A public CA that clients trust and an internal one; leaves for everyone."""
    public = Authority(folder, "Public CA")
    internal = Authority(folder, "Internal CA")
    public.leaf("edge", f"api.{DOMAIN}", f"shop.{DOMAIN}", f"wiki.{DOMAIN}")
    public.leaf("pay", f"pay.{DOMAIN}")
    public.leaf("client", f"client.{DOMAIN}")
    internal.leaf("identity", "edge.internal", "spiffe://demo.test/edge")
    internal.leaf("api", "api.internal")
    internal.leaf("shop", "shop.internal")
    internal.leaf("guard", "wiki.internal")
    return public, internal


def leaf(folder: Path, name: str) -> object:
    from everyhop.demo.certificates import Leaf

    return Leaf(folder / f"{name}.pem", folder / f"{name}.key")


def open_backends(folder: Path, ports: dict[str, int] | None = None) -> dict[str, Backend]:
    """The four backends, with certificates from `folder`."""
    from everyhop.demo.certificates import Leaf

    def of(name: str) -> Leaf:
        return Leaf(folder / f"{name}.pem", folder / f"{name}.key")

    at = ports or {}
    return {
        "pay": Backend("pay", of("pay"), clients=folder / "public-ca.pem", port=at.get("pay", 0)),
        "api": Backend("api", of("api"), clients=folder / "internal-ca.pem", demands=True, port=at.get("api", 0)),
        "shop": Backend("shop", of("shop"), port=at.get("shop", 0)),
        "wiki": Backend("wiki", port=at.get("wiki", 0)),
    }


PORTS = "10240-32767"
"""Below those that the system gives by itself: nobody gets one of them who did not ask for it."""


def free_port() -> int:
    """A port that is free now, and another one each time. Whoever binds it next may be too late, and says so; who comes back to
    it finds it free, since nobody is given it by the system. EVERYHOP_PORTS keeps processes apart that ask beside each other."""
    for _ in range(20_000):
        with TURN:
            port = next(TURNS)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise Surroundings("no port is free on this host")


def turns() -> Iterator[int]:
    first, _, last = os.environ.get("EVERYHOP_PORTS", PORTS).partition("-")
    every = range(int(first), int(last) + 1)
    begin = random.randrange(len(every))
    while True:
        yield from every[begin:]
        yield from every[:begin]


TURNS, TURN = turns(), threading.Lock()


class Edge:
    """A running `everyhop run`. Everything that it says is in `said`. `under`: a command that becomes it, as `env` does."""

    def __init__(
        self, config: Path, *, under: Sequence[str] = (), arguments: Sequence[str] = (), pass_fds: Sequence[int] = ()
    ) -> None:
        self.config = config
        self.under, self.pass_fds = under, pass_fds
        self.process = self.begun(arguments)
        self.said: list[str] = []
        self.heard = threading.Condition()
        self.listener = threading.Thread(target=self.listen, daemon=True)
        self.listener.start()

    def begun(self, arguments: Sequence[str]) -> subprocess.Popen[str]:
        command = [*self.under, sys.executable, "-m", "everyhop", "run", "--config", str(self.config), *arguments]
        return subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, pass_fds=self.pass_fds
        )

    def listen(self) -> None:
        assert self.process.stderr is not None
        # Here, since an engine may speak on after the supervisor that `stop` waited for.
        with self.process.stderr as lines:
            for line in lines:
                with self.heard:
                    self.said.append(line.rstrip("\n"))
                    self.heard.notify_all()
        with self.heard:
            self.heard.notify_all()

    def wait_for(self, text: str, seconds: float = 30.0, after: int = 0) -> str:
        """The first line from `after` on that has `text`.

        Raises `Surroundings` with everything said, if it does not come or the edge ends.
        """
        deadline = time.monotonic() + seconds
        with self.heard:
            while True:
                for line in self.said[after:]:
                    if text in line:
                        return line
                left = deadline - time.monotonic()
                if left <= 0 or self.process.poll() is not None:
                    raise Surroundings(f"the edge did not say {text!r}:\n" + "\n".join(self.said))
                self.heard.wait(min(left, 0.2))

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.terminate()
        code = self.process.wait(60)
        self.listener.join(10)
        return code


class Stage:
    """All of it, in a folder."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.folder = folder
        self.certificates = folder / "certificates"
        self.public, self.internal = certificates(self.certificates)
        self.backends = open_backends(self.certificates)
        self.relays = {name: Relay(("127.0.0.1", backend.port)) for name, backend in self.backends.items()}
        self.port = port or free_port()
        self.log = folder / "access.log"
        self.config = folder / "everyhop.toml"
        self.edge: Edge | None = None
        self.others = contextlib.ExitStack()
        """What acts open beside it, closed with it."""
        self.write(dt.datetime.now(dt.UTC).date() + dt.timedelta(days=90))

    def write(self, until: dt.date | dt.datetime, more: str = "") -> None:
        ports = {name: relay.port for name, relay in self.relays.items()}
        text = configuration(self.folder, self.port, ports, until, self.log)
        self.config.write_text(text + more, encoding="utf-8")

    def open(self) -> None:
        self.edge = Edge(self.config)
        self.edge.wait_for("ready:")

    def lines(self) -> list[dict[str, object]]:
        """The access log's observations so far."""
        if not self.log.exists():
            return []
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def observation(self, route: str, seconds: float = 5.0) -> dict[str, object]:
        """The last observation of `route`; the log is written a moment after the answer."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for seen in reversed(self.lines()):
                if seen["route"] == route:
                    return seen
            threading.Event().wait(0.05)
        raise Surroundings(f"the access log has no line of route {route!r}")

    def close(self) -> None:
        if self.edge is not None:
            self.edge.stop()
        self.others.close()
        for backend in self.backends.values():
            backend.close()
        for relay in self.relays.values():
            relay.close()


def configuration(folder: Path, port: int, ports: dict[str, int], until: dt.date | dt.datetime, log: Path | str) -> str:
    return CONFIGURATION.format(
        port=port,
        domain=DOMAIN,
        since=dt.datetime.now(dt.UTC).date().isoformat(),
        until=until.isoformat(),
        log=log,
        admin=folder.absolute() / "admin.sock",
        **ports,
    )


PLAY = """\
\"\"\"The demo's backends, to play with: python backends.py\"\"\"

import threading
from pathlib import Path

from everyhop.demo.stage import open_backends

open_backends(Path(__file__).parent / "certificates", {ports!r})
print("backends are up; end with Ctrl-C", flush=True)
threading.Event().wait()
"""


def write_to(folder: Path, port: int = 8443) -> None:
    """Leaves configuration, certificates and backends in `folder`, ready to run by hand."""
    if (folder / "everyhop.toml").exists():
        raise Surroundings(f"{folder}/everyhop.toml is there already; nothing was written")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        certificates(folder / "certificates")
        ports = {name: free_port() for name in NAMES}
        until = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=90)
        (folder / "everyhop.toml").write_text(configuration(folder, port, ports, until, "stdout"), encoding="utf-8")
        (folder / "backends.py").write_text(PLAY.format(ports=ports), encoding="utf-8")
    except OSError as e:
        raise Surroundings(f"cannot write to {folder}: {e.strerror or e}") from e
    here = f"{sys.executable}"
    line(f"written to {folder}: everyhop.toml, certificates/, backends.py")
    line()
    line(f"  {here} {folder}/backends.py &")
    line(f"  everyhop check {folder}/everyhop.toml")
    line(f"  everyhop run --config {folder}/everyhop.toml")
    for name in NAMES:
        line(
            f"  curl --cacert {folder}/certificates/public-ca.pem --resolve {name}.{DOMAIN}:{port}:127.0.0.1 https://{name}.{DOMAIN}:{port}/"
        )

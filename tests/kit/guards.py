"""`everyhop guard` itself, as tests run it, and a client in the place of an edge."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from everyhop.demo.certificates import Leaf
from everyhop.demo.stage import Edge, free_port
from tests.kit.clients import exchange, tls
from tests.kit.edge import Pki

GET = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"


class Guard(Edge):
    """What it says to be written at the edge is in `paste`, as all that it prints. `more` is all but `--listen`, `--to` and `--state`."""

    def __init__(self, to: int, *more: str, under: Callable[[Path], Sequence[str]] = lambda folder: ()) -> None:
        """`under`: a command that becomes it, by the folder of its own."""
        self.folder, self.port = Path(tempfile.mkdtemp(prefix="eh-")), free_port()
        self.beneath = under(self.folder)
        self.paste, self.state = self.folder / "paste", self.folder / "state"
        self.to, self.more = f"127.0.0.1:{to}", more
        self.begin()

    def begin(self, *instead: str) -> None:
        """Also once more, with what is there of the time before."""
        self.more = instead or self.more
        super().__init__(self.state / "guard.toml")
        self.wait_for("ready:", 60)

    def begun(self, arguments: Sequence[str]) -> subprocess.Popen[str]:
        command = [
            *self.beneath,
            sys.executable,
            "-m",
            "everyhop",
            "guard",
            *flags(self.state, self.port, self.to, *self.more),
        ]
        with self.paste.open("w") as paste:
            return subprocess.Popen(command, stdout=paste, stderr=subprocess.PIPE, text=True)

    @property
    def lines(self) -> str:
        """Of the access log."""
        return (self.state / "access.log").read_text()

    def route(self, identity: str, more: str = "") -> str:
        """A route of the edge, of the lines that the guard gave."""
        given = self.paste.read_text().partition("at the edge, on the route of this backend:\n")[2]
        given = given.replace("THIS-HOST", "127.0.0.1").replace("IDENTITY", identity)
        return f'[[route]]\nname = "r"\nhost = "a.test"\n{given}{more}\n'

    def close(self) -> None:
        code = self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        assert code == 0, self.said


def flags(state: Path, port: int, to: str, *more: str) -> list[str]:
    return ["--listen", f"127.0.0.1:{port}", "--to", to, "--state", str(state), *more]


def of_files(pki: Pki, admit: str = "edge.internal") -> list[str]:
    at = pki.folder
    files = ["--cert", f"{at}/backend.pem", "--key", f"{at}/backend.key", "--ca", f"{at}/internal-ca.pem"]
    return [*files, "--admit", admit]


def asked(port: int, roots: Path, leaf: Leaf | None, ask: str = GET) -> int:
    """The status that whoever shows `leaf` gets. Raises `OSError` where no answer comes."""
    with tls(port, None, roots, leaf=leaf, kept=False) as sock:
        return exchange(sock, ask).status


def serial(port: int, roots: Path, leaf: Leaf) -> int:
    """Of the certificate that a guard shows."""
    with tls(port, None, roots, leaf=leaf, kept=False) as sock:
        assert isinstance(sock, ssl.SSLSocket)
        return int(str((sock.getpeercert() or {})["serialNumber"]), 16)

"""An edge that is a workload of a real SPIRE: its identity comes, is renewed under traffic, and is told of when its registration is gone."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import shutil
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from everyhop.demo.certificates import Leaf
from tests.kit import EdgeKit, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.raw import OK, answering
from tests.spire.spire import BIN, DOMAIN, Spire, there

GET = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"
CLOSES = answering(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))


@pytest.fixture
def spire() -> Iterator[Spire]:
    there()
    folder = Path(tempfile.mkdtemp(prefix="eh-spire-"))
    it = Spire(folder)
    try:
        it.start()
        yield it
    finally:
        it.stop()
        shutil.rmtree(folder)


def fetched(spire: Spire, into: Path, id_: str) -> tuple[Leaf, Path]:
    """What SPIRE's own client writes for a workload: its certificate with its key, and the roots."""
    into.mkdir()

    def tried() -> Path | None:
        command = [
            str(BIN / "spire-agent"),
            "api",
            "fetch",
            "x509",
            "-socketPath",
            str(spire.socket),
            "-write",
            str(into),
        ]
        subprocess.run(command, capture_output=True, timeout=60, check=False)
        for it in into.glob("svid.*.pem"):
            shown = subprocess.run(["openssl", "x509", "-in", str(it), "-noout", "-ext", "subjectAltName"], capture_output=True, text=True)  # fmt: skip
            if f"URI:{id_}" in shown.stdout:
                return it
        return None

    chain = until(tried, 60, spire.said)
    number = chain.name.split(".")[1]
    return Leaf(chain, into / f"svid.{number}.key"), into / f"bundle.{number}.pem"


def test_an_edge_is_a_workload_of_spire(
    spire: Spire, edge: Callable[..., EdgeKit], raw: Callable[..., Raw], tmp_path: Path
) -> None:
    name, backend = f"spiffe://{DOMAIN}/edge", f"spiffe://{DOMAIN}/backend"
    spire.register("backend")
    leaf, roots = fetched(spire, tmp_path / "backend", backend)
    shown: list[int] = []

    def serve(sock: socket.socket, record: object) -> None:
        assert isinstance(sock, ssl.SSLSocket)
        peer = sock.getpeercert() or {}
        assert ("URI", name) in peer["subjectAltName"]
        shown.append(int(str(peer["serialNumber"]), 16))
        CLOSES(sock, record)  # type: ignore[arg-type]

    behind = raw(serve, leaf, clients=roots)
    it = edge(
        f'[[identity]]\nname = "mesh"\nfrom = "spiffe"\nagent = "unix:{spire.socket}"\nid = "{name}"\n'
        f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "mutual"\npresent = "mesh"\nto = ["127.0.0.1:{behind.port}"]\n'
        f'verify = {{ ca = "identity:mesh", spiffe = "{backend}" }}\n'
    )

    def status() -> int:
        with tls(it.port, "a.test", it.pki.public.file, kept=False) as sock:
            return exchange(sock, GET).status

    def told(kind: str) -> str:
        troubles: list[dict[str, Any]] = it.admin("status")["supervisor"]["troubles"]
        return "; ".join(str(one["why"]) for one in troubles if one["kind"] == kind)

    until(lambda: f"gives {backend} and not {name}" in told("identity-missing"), 60, spire.said)
    assert status() == 503
    # So short that the agent renews it while this waits.
    entry = spire.register("edge", "-x509SVIDTTL", "20")
    until(lambda: status() == 200, 60, spire.said)
    first, answers = shown[-1], list[int]()
    until(lambda: answers.append(status()) or shown[-1] != first, 120, spire.said)  # type: ignore[func-returns-value]
    assert set(answers) == {200}
    assert told("identity-missing") == told("identity-not-renewed") == ""
    spire.does("entry", "delete", "-entryID", entry)
    until(lambda: f"gives {backend} and not {name}" in told("identity-not-renewed"), 120, spire.said)


def test_the_registration_of_the_page_is_one(spire: Spire, tmp_path: Path) -> None:
    """As whoever this test is, in place of the user that it names."""
    page = Path(__file__).parents[2] / "docs/how-to/take-identities-from-spire.md"
    (command,) = re.findall(r"^```sh\nspire-server (.*?)^```", page.read_text(), re.M | re.S)
    me = pwd.getpwuid(os.geteuid()).pw_name
    said = spire.does(*shlex.split(command.replace("\\\n", "").replace("unix:user:everyhop", f"unix:user:{me}")))
    assert "SPIFFE ID        : spiffe://corp.example/edge" in said and f"unix:user:{me}" in said, said
    fetched(spire, tmp_path / "edge", f"spiffe://{DOMAIN}/edge")

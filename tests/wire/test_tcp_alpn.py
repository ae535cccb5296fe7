"""`protocol = "tcp"` and ALPN (RFC 7301): what client and site agree on is what the backend is offered, and nothing else."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Pki, Raw, tls
from tests.kit.edge import until
from tests.kit.raw import Record
from tests.suites.peers import is_up
from tests.wire.test_tcp import cut_off, is_end, receive, route, site

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]


@pytest.fixture(scope="module", autouse=True)
def leaf(pki: Pki) -> None:
    pki.public.leaf("streams", "mq.test", "db.test", "*.s.test")


def s_client(it: EdgeKit, offers: str) -> str:
    """What OpenSSL says of its session, after `tell` was answered in it."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{it.port}", "-servername", "mq.test"]
    command += ["-CAfile", str(it.pki.public.file), "-verify_return_error", *(["-alpn", offers] if offers else [])]
    done = subprocess.run(command, input=b"", capture_output=True, timeout=60, check=False)
    return (done.stdout + done.stderr).decode(errors="replace")


def agreed(said: str) -> str | None:
    """The protocol of a session that was opened; fails where none was."""
    assert "Verify return code: 0 (ok)" in said, said
    found = re.search(r"^ALPN protocol: (.+)$", said, re.M)
    assert found or "No ALPN negotiated" in said, said
    return found[1] if found else None


class Chooser:
    """A backend that knows some protocols, and notes which one was chosen on each connection."""

    def __init__(self, raw: Raws, pki: Pki, *knows: str) -> None:
        self.chose: list[str | None] = []
        self.port = raw(self.speak, pki.backend, alpn=[*knows]).port

    def speak(self, sock: socket.socket, record: Record) -> None:
        assert isinstance(sock, ssl.SSLSocket)
        self.chose.append(sock.selected_alpn_protocol())
        sock.sendall(b"hello")
        record.take(sock, 1)


@pytest.mark.parametrize("offers", ["", "imap", "mqtt", "postgresql", "http/1.1", "h2,http/1.1"])
def test_a_site_of_streams_that_names_no_protocol_chooses_none(edge: Edges, raw: Raws, pki: Pki, offers: str) -> None:
    """Whatever the client offers (RFC 7301 §3.2: a server may leave the extension alone); nor is the backend offered any."""
    backend = Chooser(raw, pki, "imap", "mqtt", "postgresql", "http/1.1", "h2")
    it = edge(route(backend.port, tls="reencrypt") + site())
    assert agreed(s_client(it, offers)) is None
    line = it.line(is_end)
    assert (line["client_hop"]["alpn"], line["backend_hop"]["alpn"]) == (None, None)
    assert backend.chose == [None]


@pytest.mark.parametrize("pattern", ["reencrypt", "mutual"])
@pytest.mark.parametrize(
    ("offers", "chosen"),
    [
        ("postgresql", "postgresql"),
        # The site's order counts, not the client's, nor the backend's.
        ("h2,mqtt,postgresql", "postgresql"),
        ("x-amzn-mqtt-ca,mqtt", "mqtt"),
        ("", None),
    ],
)
def test_what_client_and_site_agree_on_is_what_the_backend_is_offered(
    edge: Edges, raw: Raws, pki: Pki, pattern: str, offers: str, chosen: str | None
) -> None:
    backend = Chooser(raw, pki, "h2", "mqtt", "postgresql")
    it = edge(route(backend.port, tls=pattern) + site('alpn = ["postgresql", "mqtt"]'))
    for _ in range(2):
        # The second may take up the session of the first towards the backend.
        assert agreed(s_client(it, offers)) == chosen

    def ends() -> list[dict[str, Any]] | None:
        found = [line for line in it.lines() if is_end(line)]
        return found if len(found) == 2 else None

    assert [(x["client_hop"]["alpn"], x["backend_hop"]["alpn"]) for x in until(ends)] == [(chosen, chosen)] * 2
    assert backend.chose == [chosen] * 2


@pytest.mark.parametrize("offers", ["http/1.1", "h2,http/1.1,imap"])
def test_who_offers_only_other_protocols_is_refused(edge: Edges, raw: Raws, pki: Pki, offers: str) -> None:
    """By the alert that RFC 7301 §3.2 has for it; the backend hears of nobody."""
    backend = Chooser(raw, pki, "http/1.1")
    it = edge(route(backend.port, tls="reencrypt") + site('alpn = ["mqtt"]'))
    said = s_client(it, offers)
    assert "no application protocol" in said.lower(), said
    assert it.line(lambda line: line["end"] == "handshake/no-common-protocol")
    assert backend.chose == []


@pytest.fixture
def strict(pki: Pki) -> Iterator[list[int]]:
    """Two of OpenSSL's servers, which refuse whoever offers other protocols than mqtt, and turn each line round."""
    ports, started = [free_port(), free_port()], []
    for port in ports:
        command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-alpn", "mqtt", "-rev", "-quiet"]
        command += ["-cert", str(pki.backend.chain), "-key", str(pki.backend.key)]
        started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    until(lambda: all(map(is_up, ports)) or None)
    yield ports
    for it in started:
        it.terminate()
        it.wait(10)


def turned(it: EdgeKit, ca: Path, alpn: list[str] | None) -> None:
    with tls(it.port, "mq.test", ca, alpn=alpn) as sock:
        sock.sendall(b"abc\n")
        assert receive(sock, 4) == b"cba\n"


def test_a_backend_that_speaks_another_protocol_is_told_of_and_not_ejected(
    edge: Edges, pki: Pki, strict: list[int]
) -> None:
    """Which protocol it is a client says: no client may keep others from a backend by it."""
    it = edge(route(*strict, tls="reencrypt") + site('alpn = ["amqp", "mqtt"]'), more="[limits]\neject_after = 2\n")
    turned(it, pki.public.file, ["mqtt"])
    for _ in range(3):
        with tls(it.port, "mq.test", pki.public.file, alpn=["amqp"]) as sock, cut_off(sock):
            sock.recv(1)

    def ends() -> list[dict[str, Any]] | None:
        found = [line for line in it.lines() if line["client_hop"]["alpn"] == "amqp"]
        return found if len(found) == 3 else None

    for line in until(ends):
        for failed in line["failed_hops"]:
            told = (failed["end"], failed["detail"], failed["alert"])
            assert told == ("hop/no-common-protocol", "the client agreed on amqp", "no_application_protocol")
        assert (line["end"], len(line["failed_hops"])) == ("hop/no-common-protocol", 2)
    (now,) = [r for r in it.status()["routes"] if r["name"] == "mq"]
    assert [(b["state"], b["failed"]) for b in now["backends"]] == [("up", {"hop/no-common-protocol": 3})] * 2
    turned(it, pki.public.file, ["mqtt"])
    turned(it, pki.public.file, None)

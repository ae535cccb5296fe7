"""What must end: a tunnel with the acceptance that its hop lives by, a client with its certificate, and everything with its
drain. The log says by what. What has only said goodbye has not ended.

The clock is the test's own, as in `tests/promises/clock.py`: nothing waits for a date to come.
"""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509

from everyhop.demo.certificates import Leaf
from tests.kit import EdgeKit, Pki, exchange, tls
from tests.kit.edge import until
from tests.kit.flight import Flight
from tests.kit.forge import HOUR, forged, root, saved
from tests.promises.backend import Counting
from tests.promises.clients import UPGRADE, echoed, echoes
from tests.promises.clock import Wall, can_run
from tests.threats.frames import END_HEADERS, END_STREAM, HEADERS, Client, fields, frame

Edges = Callable[..., EdgeKit]

ACCEPTED = """
[[route]]
name = "accepted"
host = "a.test"
tls = "plaintext"
to = ["127.0.0.1:{port}"]
off_host = true
[route.acceptance]
owner = "test@example.com"
why = "to see it end"
context = "legacy"
since = {since}
until = {until}
"""
PASSED = '[[route]]\nname = "pass"\nhost = "pass.test"\ntls = "passthrough"\nto = ["127.0.0.1:{port}"]\n'


@pytest.fixture
def wall() -> Iterator[Wall]:
    with tempfile.TemporaryDirectory(prefix="eh-clock-") as folder:
        it = Wall(Path(folder))
        with it.over():
            yield it


@pytest.fixture
def backend() -> Iterator[Counting]:
    it = Counting()
    yield it
    it.close()


def tunnel(it: EdgeKit, pki: Pki) -> ssl.SSLSocket:
    sock = tls(it.port, "a.test", pki.public.file)
    sock.settimeout(30)
    assert exchange(sock, UPGRADE.format(host="a.test")).status == 101
    echoed(sock, b"there")
    return sock


def status(it: EdgeKit, pki: Pki) -> int:
    with tls(it.port, "a.test", pki.public.file) as sock:
        return exchange(sock, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").status


def ended(sock: ssl.SSLSocket) -> bool:
    try:
        return sock.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def accepted(port: int, lasts: dt.timedelta) -> str:
    now = dt.datetime.now(dt.UTC)
    return ACCEPTED.format(port=port, since=now.date().isoformat(), until=(now + lasts).isoformat())


@pytest.mark.skipif(not can_run(), reason="there is no C compiler to build the clock with")
def test_a_tunnel_over_an_accepted_hop_outlives_the_acceptance_by_a_drain_and_no_more(
    wall: Wall, edge: Edges, backend: Counting, pki: Pki
) -> None:
    """What has a date obeys the date, not how long it seemed to be when the tunnel was opened."""
    it = edge(accepted(backend.port, dt.timedelta(hours=1)), drain_s=600)
    with tunnel(it, pki) as sock:
        wall.jump(3600 + 60)
        until(lambda: status(it, pki) == 503 or None, 20)
        echoed(sock, b"its request was let in")
        wall.jump(3600 + 660)
        until(lambda: not echoes(sock, b"more") or None, 20)
    line = it.line(lambda x: x["route"] == "accepted" and x["status"] == 101)
    assert line["end"] == "hop/acceptance-expired"


@pytest.mark.skipif(not can_run(), reason="there is no C compiler to build the clock with")
def test_an_idle_tunnel_over_an_accepted_hop_ends_when_the_clock_is_put_past_its_end(
    wall: Wall, edge: Edges, backend: Counting, pki: Pki
) -> None:
    """Nothing moves on it that could remind anybody."""
    it = edge(accepted(backend.port, dt.timedelta(hours=1)), drain_s=1)
    with tunnel(it, pki) as sock:
        wall.jump(2 * 3600)
        assert ended(sock)
    line = it.line(lambda x: x["route"] == "accepted" and x["status"] == 101)
    assert line["end"] == "hop/acceptance-expired"


def test_what_outlasts_a_drain_ends_with_it_and_each_has_its_line(edge: Edges, pki: Pki, backend: Counting) -> None:
    """A tunnel and a session that is not ours alike."""
    passed = Counting(pki.pass_leaf)
    plain = f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{backend.port}"]\n'
    it = edge(plain + PASSED.format(port=passed.port), drain_s=1)
    with tunnel(it, pki) as one, tls(it.port, "pass.test", pki.public.file) as two:
        assert exchange(two, "GET / HTTP/1.1\r\nHost: pass.test\r\n\r\n").status == 200
        it.edge.process.terminate()
        it.edge.wait_for("draining", 20)
        assert ended(one) and ended(two)
        assert it.edge.process.wait(30) == 0
    lines = {line["route"]: line["end"] for line in it.lines()}
    assert lines == {"r": "connection/draining", "pass": "connection/draining"}
    passed.close()


GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
PLAIN = '[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n'
KNOWN = 'clients = {{ ca = "{{pki}}/public-ca.pem", mode = "{mode}" }}'
HALF_AN_HOUR = dt.timedelta(minutes=30)
needs_clock = pytest.mark.skipif(not can_run(), reason="there is no C compiler to build the clock with")


def lasting(pki: Pki, ends: dt.timedelta) -> Leaf:
    """A client's certificate that ends then."""
    signer = root(pki.public)
    return saved(pki.folder, "lasting", forged("lasting", signer, names=["client.test"], ends=ends), signer)


class Known:
    """A client with a certificate that comes back with its session."""

    def __init__(self, it: EdgeKit, pki: Pki, leaf: Leaf, highest: ssl.TLSVersion) -> None:
        self.it = it
        self.context = ssl.create_default_context(cafile=str(pki.public.file))
        self.context.load_cert_chain(leaf.chain, leaf.key)
        self.context.maximum_version = highest
        self.session: ssl.SSLSession | None = None

    def comes(self) -> bool:
        """It is served; true if over the session that it had."""
        raw = socket.create_connection(("127.0.0.1", self.it.port), 20)
        with self.context.wrap_socket(raw, server_hostname="a.test", session=self.session) as sock:
            assert exchange(sock, GET).status == 200
            self.session = sock.session
            return bool(sock.session_reused)


@needs_clock
@pytest.mark.parametrize("highest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("mode", ["ask", "require"])
def test_a_client_certificate_that_is_over_does_not_pass_by_a_session(
    wall: Wall, edge: Edges, backend: Counting, pki: Pki, highest: ssl.TLSVersion, mode: str
) -> None:
    """Nor by the sessions that each resumption gave."""
    it = edge(PLAIN.format(port=backend.port), site=KNOWN.format(mode=mode))
    client = Known(it, pki, lasting(pki, HALF_AN_HOUR), highest)
    assert [client.comes(), client.comes()] == [False, True]
    wall.jump(29 * 60)
    assert client.comes()
    wall.jump(31 * 60)
    before = backend.total
    with pytest.raises(OSError):
        client.comes()
    assert backend.total == before
    it.line(lambda x: x["end"] == "handshake/client-certificate-expired")


@needs_clock
@pytest.mark.parametrize("highest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_of_a_known_client_lasts_an_hour_however_often_it_comes_back(
    wall: Wall, edge: Edges, backend: Counting, pki: Pki, highest: ssl.TLSVersion
) -> None:
    """From the handshake in which it was verified; after that it is verified again, and served."""
    it = edge(PLAIN.format(port=backend.port), site=KNOWN.format(mode="require"))
    client = Known(it, pki, lasting(pki, 24 * HOUR), highest)
    assert not client.comes()
    wall.jump(50 * 60)
    assert client.comes()
    wall.jump(61 * 60)
    assert not client.comes()
    assert client.comes()


@needs_clock
def test_a_client_certificate_that_is_over_ends_its_connection_at_the_next_request(
    wall: Wall, edge: Edges, backend: Counting, pki: Pki
) -> None:
    it = edge(PLAIN.format(port=backend.port), site=KNOWN.format(mode="ask"))
    leaf = lasting(pki, HALF_AN_HOUR)
    with (
        tls(it.port, "a.test", pki.public.file, leaf=leaf) as h1,
        tls(it.port, "a.test", pki.public.file, leaf=leaf, alpn=["h2"]) as two,
        tls(it.port, "a.test", pki.public.file) as nobody,
    ):
        h2 = Client(two)

        def ask(stream: int) -> str:
            h2.send(frame(HEADERS, fields("a.test"), flags=END_STREAM | END_HEADERS, stream=stream))
            return h2.whole(stream)

        assert (exchange(h1, GET).status, ask(1), exchange(nobody, GET).status) == (200, "200", 200)
        wall.jump(29 * 60)
        assert (exchange(h1, GET).status, ask(3), exchange(nobody, GET).status) == (200, "200", 200)
        wall.jump(31 * 60)

        def refused() -> bool:
            # The engine's clock follows within a tick.
            answer = exchange(h1, GET)
            assert answer.status == 200 or "request/client-certificate-expired" in answer.text
            if answer.status != 200:
                assert (answer.status, answer.headers["connection"]) == (421, "close")
            return answer.status != 200

        until(refused)
        before = backend.total
        assert h1.recv(1) == b""
        assert ask(5) == "421"
        assert backend.total == before
        assert h2.goaway is not None or any(h2.goaway is not None for _ in h2.read())
        assert exchange(nobody, GET).status == 200, "who proved nothing has nothing that ends"
    over = "request/client-certificate-expired"
    until(lambda: [line["end"] for line in it.lines()].count(over) == 2 or None)


@needs_clock
def test_of_two_certificates_of_a_site_the_one_that_is_over_is_not_shown(
    wall: Wall, edge: Edges, backend: Counting, pki: Pki
) -> None:
    """Whichever stands first, a client that could verify both is shown the one that is valid."""
    signer = root(pki.public)
    brief = forged("brief", signer, names=["a.test"], ends=HALF_AN_HOUR)
    one = saved(pki.folder, "brief", brief, signer)
    two = pki.public.leaf("long-rsa", "a.test", "b.test", "c.test", "*.w.test", kind="rsa")
    certs = ", ".join(f'{{ chain = "{c.chain}", key = "file:{c.key}" }}' for c in (one, two))
    it = edge(PLAIN.format(port=backend.port))
    text = it.config.read_text().replace(
        f'{{ chain = "{pki.folder}/edge.pem", key = "file:{pki.folder}/edge.key" }}', certs
    )
    text = text.replace('hosts = ["a.test", "b.test", "c.test", "*.w.test"]', 'hosts = ["a.test"]')
    it.config.write_text(text)
    assert it.admin("reload")["reloaded"]

    def shown() -> x509.Certificate:
        # The context of a client that looks at names and dates by itself.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        raw = socket.create_connection(("127.0.0.1", it.port), 20)
        with context.wrap_socket(raw, server_hostname="a.test") as sock:
            der = sock.getpeercert(True)
        assert der is not None
        return x509.load_der_x509_certificate(der)

    long = x509.load_pem_x509_certificate(two.chain.read_bytes())
    assert shown() == brief.cert
    wall.jump(31 * 60)
    assert shown() == long
    assert status(it, pki) == 200


def test_a_request_and_a_goodbye_in_one_flight_are_answered(edge: Edges, backend: Counting, pki: Pki) -> None:
    """With the end of the handshake before them or not: close_notify ends one direction (RFC 8446 §6.1)."""
    it = edge(PLAIN.format(port=backend.port))
    for apart in (False, True):
        client = Flight(it.port, pki)
        if apart:
            client.send()
        client.tls.write(GET.encode())
        client.says_goodbye()
        client.send()
        got = client.all()
        assert got.startswith(b"HTTP/1.1 200 ") and got.endswith(b"ok"), got
        client.sock.close()
    until(lambda: len(it.lines()) == 2 or None)
    assert [line["end"] for line in it.lines()] == ["done", "done"]


def test_a_goodbye_while_waiting_does_not_reset_the_answer_away(edge: Edges, backend: Counting, pki: Pki) -> None:
    it = edge(PLAIN.format(port=backend.port))
    backend.gate.clear()
    client = Flight(it.port, pki)
    client.tls.write(GET.replace("/ ", "/slow ").encode())
    client.send()
    until(lambda: backend.waiting == 1 or None)
    client.says_goodbye()
    client.send()
    # Somebody else is served meanwhile, so the goodbye was seen.
    for _ in range(10):
        assert status(it, pki) == 200
    backend.gate.set()
    assert client.all().endswith(b"ok")
    client.sock.close()
    assert it.line(lambda x: x["path"] == "/slow")["end"] == "done"


@pytest.mark.parametrize("polite", [True, False], ids=["close_notify", "FIN alone"])
def test_the_end_of_a_client_s_direction_in_the_flight_of_its_request_or_while_it_waits_loses_no_answer(
    edge: Edges, backend: Counting, pki: Pki, polite: bool
) -> None:
    """F04. Whether it still listens nobody knows: it is told, and is no client for another request."""
    it = edge(PLAIN.format(port=backend.port))

    def ends(client: Flight) -> None:
        if polite:
            client.says_goodbye()
        client.send()
        client.sock.shutdown(socket.SHUT_WR)

    client = Flight(it.port, pki)
    client.tls.write(GET.encode())
    ends(client)
    assert client.all().endswith(b"ok")
    client.sock.close()
    backend.gate.clear()
    client = Flight(it.port, pki)
    client.tls.write(GET.replace("/ ", "/slow ").encode())
    client.send()
    until(lambda: backend.waiting == 1 or None)
    ends(client)
    for _ in range(10):
        assert status(it, pki) == 200
    backend.gate.set()
    assert client.all().endswith(b"ok")
    client.sock.close()
    assert it.line(lambda x: x["path"] == "/slow")["end"] == "done"


def test_a_client_whose_socket_is_reset_while_it_waits_is_gone_at_once(
    edge: Edges, backend: Counting, pki: Pki
) -> None:
    it = edge(PLAIN.format(port=backend.port), more="[limits]\nhalf_closed_s = 3600\n")
    backend.gate.clear()
    client = Flight(it.port, pki)
    client.tls.write(GET.replace("/ ", "/slow ").encode())
    client.send()
    until(lambda: backend.waiting == 1 or None)
    client.reset()
    assert it.line(lambda x: x["path"] == "/slow")["end"] == "request/client-gone"
    backend.gate.set()


@pytest.mark.parametrize("seconds", [0, 1])
def test_a_client_whose_socket_ends_while_it_waits_is_gone(
    edge: Edges, backend: Counting, pki: Pki, seconds: int
) -> None:
    """With a goodbye before it or without, after `half_closed_s`: what it asked for is work for nobody."""
    it = edge(PLAIN.format(port=backend.port), more=f"[limits]\nhalf_closed_s = {seconds}\n")
    backend.gate.clear()
    for polite in (True, False):
        client = Flight(it.port, pki)
        client.tls.write(GET.replace("/ ", f"/slow/{polite} ").encode())
        client.send()
        until(lambda polite=polite: backend.waiting == (1 if polite else 2) or None)  # type: ignore[misc]
        if polite:
            client.says_goodbye()
            client.send()
        client.sock.close()
        line = it.line(lambda x, polite=polite: x["path"] == f"/slow/{polite}")  # type: ignore[misc]
        assert (line["end"], line["status"]) == ("request/client-gone", 499)
    backend.gate.set()

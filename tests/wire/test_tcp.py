"""`protocol = "tcp"`: TLS ends at the edge, whatever is in it goes on as it comes, and none of it is read."""

from __future__ import annotations

import contextlib
import datetime as dt
import shutil
import socket
import ssl
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.raw import Record, Script, head, rest
from tests.kit.soon import in_time

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

SITE = """
[[site]]
name = "streams"
hosts = ["mq.test", "db.test", "*.s.test"]
certs = [{ chain = "{pki}/streams.pem", key = "file:{pki}/streams.key" }]
{more}
"""
VERIFY = 'verify = { ca = "{pki}/internal-ca.pem", name = "backend.internal" }'
BEHIND = {"plaintext": "", "reencrypt": VERIFY, "mutual": f'{VERIFY}\npresent = "edge"'}


@pytest.fixture(scope="module", autouse=True)
def leaf(pki: Pki) -> None:
    pki.public.leaf("streams", "mq.test", "db.test", "*.s.test")


def route(*ports: int, name: str = "mq", host: str = "mq.test", tls: str = "plaintext", more: str = "") -> str:
    to = ", ".join(f'"127.0.0.1:{port}"' for port in ports)
    return f"""
[[route]]
name = "{name}"
host = "{host}"
protocol = "tcp"
tls = "{tls}"
to = [{to}]
{BEHIND[tls]}
{more}
"""


def site(more: str = "") -> str:
    return SITE.replace("{more}", more)


def echo(sock: socket.socket, record: Record) -> None:
    while data := record.take(sock, 65536):
        sock.sendall(data)
    if isinstance(sock, ssl.SSLSocket):
        sock.unwrap()


def backend_of(raw: Raws, pki: Pki, pattern: str, script: Script) -> Raw:
    if pattern == "plaintext":
        return raw(script)
    return raw(script, pki.backend, clients=pki.internal.file if pattern == "mutual" else None)


def receive(sock: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count and (data := sock.recv(count - len(got))):
        got += data
    return got


def whole(sock: ssl.SSLSocket) -> None:
    """Its end is one only where TLS says so."""
    sock.suppress_ragged_eofs = False  # type: ignore[attr-defined]


@contextlib.contextmanager
def cut_off(sock: ssl.SSLSocket) -> Iterator[None]:
    """The other side ends it, and not as if that were all: no goodbye of TLS comes."""
    whole(sock)
    with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
        yield


def is_end(line: dict[str, object], name: str = "mq") -> bool:
    return line["route"] == name


@pytest.mark.parametrize("pattern", BEHIND)
def test_bytes_go_both_ways_as_they_came_over_every_pattern(edge: Edges, raw: Raws, pki: Pki, pattern: str) -> None:
    backend = backend_of(raw, pki, pattern, echo)
    it = edge(route(backend.port, tls=pattern) + site())
    payload = b"GET / HTTP/9.9 is not read\r\n\0\xff" + bytes(range(256)) * 4000
    with tls(it.port, "mq.test", pki.public.file) as sock:
        sock.sendall(payload[:20])
        assert receive(sock, 20) == payload[:20]
        sock.sendall(payload[20:])
        assert receive(sock, len(payload) - 20) == payload[20:]
        sock.unwrap()
    assert backend.received == payload
    line = it.line(is_end)
    assert (line["protocol"], line["pattern"], line["end"]) == ("tcp", pattern, "done")
    assert line["client_hop"]["tls"] == "ended" and line["client_hop"]["alpn"] is None
    assert line["backend_hop"]["tls"] == pattern
    assert (line["bytes_in"], line["bytes_out"]) == (len(payload), len(payload))
    assert (line["method"], line["path"], line["status"], line["detail"]) == (None, None, None, None)
    if pattern == "mutual":
        assert line["backend_hop"]["identity"] == "demanded"


@pytest.mark.parametrize("pattern", BEHIND)
def test_a_server_that_speaks_first_is_heard_before_the_client_says_a_byte(
    edge: Edges, raw: Raws, pki: Pki, pattern: str
) -> None:
    def script(sock: socket.socket, record: Record) -> None:
        sock.sendall(b"220 ready\r\n")
        rest(sock, record, 6)
        sock.sendall(b"221 bye\r\n")

    backend = backend_of(raw, pki, pattern, script)
    it = edge(route(backend.port, tls=pattern) + site())
    with tls(it.port, "mq.test", pki.public.file) as sock:
        assert receive(sock, 11) == b"220 ready\r\n"
        sock.sendall(b"QUIT\r\n")
        assert receive(sock, 9) == b"221 bye\r\n"


def test_each_direction_ends_by_itself_and_as_it_was_ended(edge: Edges, raw: Raws, pki: Pki) -> None:
    """What a peer ended without TLS's goodbye does not look as if it had said it."""

    def script(sock: socket.socket, record: Record) -> None:
        while record.take(sock, 65536):
            pass
        sock.sendall(b"all %d" % len(record))

    backend = raw(script)
    it = edge(route(backend.port) + site())
    with tls(it.port, "mq.test", pki.public.file) as sock:
        sock.sendall(b"x" * 100_000)
        # Our direction ends; the other is open until the backend has answered.
        with pytest.raises(ssl.SSLError):
            sock.unwrap()
    assert backend.received == b"x" * 100_000
    assert it.line(is_end)["detail"] is None
    with tls(it.port, "mq.test", pki.public.file) as sock:
        sock.sendall(b"y")
        socket.socket.shutdown(sock, socket.SHUT_WR)
        assert receive(sock, 10) == b"all 1"
    told = it.line(lambda line: is_end(line) and line["bytes_in"] == 1)
    assert (told["end"], told["detail"]) == ("done", "the client ended its connection without ending TLS")


def test_a_truncated_stream_goes_on_as_one_over_an_encrypted_hop(edge: Edges, raw: Raws, pki: Pki) -> None:
    seen: list[str] = []

    def script(sock: socket.socket, record: Record) -> None:
        assert isinstance(sock, ssl.SSLSocket)
        whole(sock)
        try:
            while record.take(sock, 100):
                pass
            seen.append("goodbye")
            sock.unwrap()
        except ssl.SSLEOFError:
            seen.append("cut")

    backend = raw(script, pki.backend)
    it = edge(route(backend.port, tls="reencrypt") + site())
    for polite in (True, False):
        with tls(it.port, "mq.test", pki.public.file) as sock:
            sock.sendall(b"z")
            if polite:
                until(lambda: len(backend.received) == 1 or None)
                sock.unwrap()
    assert until(lambda: len(seen) == 2 or None) and seen == ["goodbye", "cut"]


def test_an_http_site_and_a_tcp_site_share_a_listener_by_name(edge: Edges, raw: Raws, pki: Pki) -> None:
    def answer(sock: socket.socket, record: Record) -> None:
        while head(sock, record) is not None:
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhttp")

    web, stream = raw(answer), raw(echo)
    both = route(stream.port) + site()
    both += f'[[route]]\nname = "web"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{web.port}"]\n'
    it = edge(both)
    with tls(it.port, "a.test", pki.public.file, alpn=["http/1.1"]) as sock:
        assert exchange(sock, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").text == "http"
        # A request for a name that carries streams gets no stream: neither is taken for the other.
        assert exchange(sock, "GET / HTTP/1.1\r\nHost: mq.test\r\n\r\n").status == 421
    with tls(it.port, "mq.test", pki.public.file, alpn=["http/1.1", "mqtt"]) as sock:
        assert sock.selected_alpn_protocol() is None, "a site without alpn takes whatever is offered"
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert receive(sock, 16) == b"GET / HTTP/1.1\r\n"
    assert b"mq.test" not in web.received


def test_a_site_may_offer_protocols_of_its_own_and_then_no_others(edge: Edges, raw: Raws, pki: Pki) -> None:
    backend = raw(echo)
    it = edge(route(backend.port) + site('alpn = ["mqtt", "x-other"]'))
    with tls(it.port, "mq.test", pki.public.file, alpn=["x-other", "mqtt"]) as sock:
        assert sock.selected_alpn_protocol() == "mqtt"
    with pytest.raises(ssl.SSLError, match=r"(?i)no.application.protocol"):
        tls(it.port, "mq.test", pki.public.file, alpn=["h2"])
    assert it.line(lambda line: line["end"] == "handshake/no-common-protocol")


def test_names_choose_among_the_routes_of_a_site_and_an_unrouted_name_is_refused_before_a_certificate(
    edge: Edges, raw: Raws, pki: Pki
) -> None:
    first, second = raw(lambda sock, _: sock.sendall(b"mq")), raw(lambda sock, _: sock.sendall(b"db"))
    it = edge(route(first.port) + route(second.port, name="db", host="db.test") + site())
    for name in ("mq", "db"):
        with tls(it.port, f"{name}.test", pki.public.file) as sock:
            assert receive(sock, 2) == name.encode()
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        tls(it.port, "x.s.test", pki.public.file)
    assert it.line(lambda line: line["end"] == "hello/unknown-sni")


def test_only_clients_that_the_route_allows_reach_its_backend(edge: Edges, raw: Raws, pki: Pki) -> None:
    backend = raw(echo)
    demand = 'clients = { ca = "{pki}/public-ca.pem", mode = "require" }'
    it = edge(route(backend.port, more='allow = { clients = ["Client.test"] }') + site(demand))
    with tls(it.port, "mq.test", pki.public.file, leaf=pki.client) as sock:
        sock.sendall(b"in")
        assert receive(sock, 2) == b"in"
    with tls(it.port, "mq.test", pki.public.file, leaf=pki.pass_leaf) as sock, pytest.raises(OSError):
        sock.sendall(b"out")
        assert sock.recv(1) == b""
        raise OSError("ended")
    refused = it.line(lambda line: line["end"] == "request/client-not-allowed")
    assert (refused["route"], refused["backend_hop"]) == ("mq", None)
    assert refused["client_hop"]["peer"]["names"] == ["pass.test"]
    with pytest.raises(OSError):
        with tls(it.port, "mq.test", pki.public.file) as sock:
            sock.sendall(b"?")
            raise OSError(sock.recv(1))
    assert it.line(lambda line: line["end"] == "handshake/no-client-certificate")
    assert backend.received == b"in"


def tlvs(header: bytes) -> dict[int, bytes]:
    found, rest_ = {}, header[28:]
    while rest_:
        kind, length = struct.unpack("!BH", rest_[:3])
        found[kind], rest_ = rest_[3 : 3 + length], rest_[3 + length :]
    return found


@pytest.mark.parametrize("proves", [True, False])
def test_a_backend_is_told_who_the_client_is_and_what_tls_came_to(
    edge: Edges, raw: Raws, pki: Pki, proves: bool
) -> None:
    backend = raw(echo)
    asks = 'clients = { ca = "{pki}/public-ca.pem", mode = "ask" }\nalpn = ["mqtt"]'
    it = edge(route(backend.port, more='send_proxy = "v2"') + site(asks))
    leaf = pki.client if proves else None
    with tls(it.port, "mq.test", pki.public.file, leaf=leaf, alpn=["mqtt"]) as sock:
        sock.sendall(b"hello")
        port = sock.getsockname()[1]
        length = 16 + struct.unpack("!H", receive(sock, 16)[14:])[0]
        header = backend.received[:length]
        assert receive(sock, length - 16 + 5)[-5:] == b"hello"
    assert header[:14] == b"\r\n\r\n\0\r\nQUIT\n\x21\x11"
    assert struct.unpack("!4s4sHH", header[16:28])[2:] == (port, it.port)
    told = tlvs(header)
    assert (told[1], told[2], len(told[5])) == (b"mqtt", b"mq.test", 8)
    client, verified = struct.unpack("!BI", told[0x20][:5])
    assert (client, verified) == ((7, 0) if proves else (1, 1))
    assert b"TLSv1.3" in told[0x20] and b"TLS_AES_" in told[0x20]


def test_the_proxy_header_goes_ahead_of_tls_to_the_backend(edge: Edges, raw: Raws, pki: Pki) -> None:
    def script(sock: socket.socket, record: Record) -> None:
        rest(sock, record, 16)
        rest(sock, record, 16 + struct.unpack("!H", bytes(record[14:16]))[0] + 5)

    backend = raw(script)
    it = edge(route(backend.port, tls="reencrypt", more='send_proxy = "v2"') + site())
    tls(it.port, "mq.test", pki.public.file)
    until(lambda: len(backend.received) > 60 or None)
    header = backend.received
    assert header.startswith(b"\r\n\r\n\0\r\nQUIT\n")
    assert b"\x16\x03\x01" in header[28:]


def dead() -> int:
    with socket.create_server(("127.0.0.1", 0)) as it:
        return int(it.getsockname()[1])


def test_another_backend_takes_its_place_where_nothing_was_sent_yet(edge: Edges, raw: Raws, pki: Pki) -> None:
    """Refused, closed before a word, and not whom it should be: the client sees none of it."""
    mute = raw(lambda sock, _: None)
    impostor = raw(echo, pki.other)
    good = raw(lambda sock, _: sock.sendall(b"here"), pki.backend)
    it = edge(route(dead(), mute.port, impostor.port, good.port, tls="reencrypt") + site())
    for _ in range(8):
        with tls(it.port, "mq.test", pki.public.file) as sock:
            assert receive(sock, 4) == b"here"
    silent, there = raw(lambda sock, _: None), raw(lambda sock, _: sock.sendall(b"here"))
    it.reload(route(silent.port, there.port) + site())
    for _ in range(8):
        with tls(it.port, "mq.test", pki.public.file) as sock:
            assert receive(sock, 4) == b"here"
    (now,) = [r for r in it.status()["routes"] if r["name"] == "mq"]
    states = {b["at"]: (b["state"], b["failed"]) for b in now["backends"]}
    state, failed = states[f"127.0.0.1:{silent.port}"]
    assert failed["hop/closed"] >= 3 and state == "ejected"
    assert states[f"127.0.0.1:{there.port}"] == ("up", {})


def test_nobody_gets_a_byte_where_no_backend_can_be_had(edge: Edges, raw: Raws, pki: Pki) -> None:
    impostor = raw(echo, pki.other)
    it = edge(route(impostor.port, tls="reencrypt") + site())
    with tls(it.port, "mq.test", pki.public.file) as sock:
        with cut_off(sock):
            sock.recv(1)
    line = it.line(is_end)
    assert line["end"] == "hop/name-mismatch" and line["failed_hops"][0]["expected"] == "backend.internal"
    assert impostor.received == b""


def test_a_tunnel_ends_when_it_is_idle_and_when_its_route_is_gone_or_stricter(edge: Edges, raw: Raws, pki: Pki) -> None:
    backend = raw(echo)
    it = edge(route(backend.port, more="limits = { tunnel_idle_s = 1 }") + site())
    with tls(it.port, "mq.test", pki.public.file) as sock:
        with cut_off(sock):
            sock.recv(1)
    assert it.line(is_end)["end"] == "tunnel/idle"
    it.reload(route(backend.port) + site())
    stays, goes = route(backend.port, name="db", host="db.test"), route(backend.port)
    it.reload(goes + stays + site())
    with tls(it.port, "mq.test", pki.public.file) as cut, tls(it.port, "db.test", pki.public.file) as kept:
        for sock in (cut, kept):
            sock.sendall(b"a")
            assert receive(sock, 1) == b"a"
        it.reload(stays + site())
        with cut_off(cut):
            cut.recv(1)
        kept.sendall(b"b")
        assert receive(kept, 1) == b"b"
        it.reload(
            stays.replace("[[route]]", "", 1).join(["[[route]]", ""]) + site('clients = { ca = "{pki}/public-ca.pem" }')
        )
        with cut_off(kept):
            kept.recv(1)
    assert it.line(lambda line: line["end"] == "tunnel/route-gone" and line["route"] == "db")


def test_what_is_said_of_the_route_is_that_nothing_of_it_is_read(edge: Edges, raw: Raws, pki: Pki) -> None:
    backend = raw(echo)
    it = edge(route(backend.port) + site())
    with tls(it.port, "mq.test", pki.public.file) as sock:
        sock.sendall(b"x")
        assert receive(sock, 1) == b"x"
    it.line(is_end)
    where = it.cli("where", "mq.test", "--config", str(it.config)).stdout
    assert "mq" in where and "edge (tcp)" in where and "read by" in where
    told = it.cli("explain", "mq", "--config", str(it.config)).stdout
    assert "blind to the protocol of the application" in told
    assert "request" not in told.lower() and "header" not in told.lower()
    (now,) = [r for r in it.status()["routes"] if r["name"] == "mq"]
    assert (now["requests"], now["connections"]) == (0, 1)


def test_the_word_for_a_plaintext_hop_ends_its_open_streams(edge: Edges, raw: Raws, pki: Pki, tmp_path: Path) -> None:
    """P05: as tunnels of requests do."""
    backend = raw(echo)
    word = f"""
off_host = true
[route.acceptance]
owner = "me"
why = "a test"
context = "legacy"
since = {dt.datetime.now(dt.UTC).date().isoformat()}
"""

    def opened(ends: dt.datetime) -> tuple[EdgeKit, ssl.SSLSocket]:
        it = edge(route(backend.port, more=f"{word}until = {ends.isoformat()}\n") + site(), drain_s=0)
        with contextlib.ExitStack() as stack:
            sock = stack.enter_context(tls(it.port, "mq.test", pki.public.file))
            sock.sendall(b"x")
            assert receive(sock, 1) == b"x"
            stack.pop_all()
        return it, sock

    it, sock = in_time(opened, 4)
    sock.settimeout(120)
    with sock, cut_off(sock):
        sock.recv(1)
    assert it.line(lambda line: is_end(line))["end"] == "hop/acceptance-expired"


@pytest.fixture
def mosquitto(pki: Pki) -> Iterator[int]:
    """A broker that takes nobody but the edge."""
    if shutil.which("mosquitto") is None or shutil.which("mosquitto_pub") is None:
        pytest.skip("mosquitto of Debian is not installed")
    folder = Path(tempfile.mkdtemp(prefix="eh-mq-"))
    for name in ("backend.pem", "backend.key", "internal-ca.pem"):
        shutil.copy(pki.folder / name, folder)
    port = free_port()
    (folder / "mosquitto.conf").write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\ncafile {folder}/internal-ca.pem\n"
        f"certfile {folder}/backend.pem\nkeyfile {folder}/backend.key\nrequire_certificate true\nuser root\n"
    )
    with (folder / "log").open("wb") as log:
        broker = subprocess.Popen(["mosquitto", "-c", folder / "mosquitto.conf", "-v"], stdout=log, stderr=log)
    try:
        until(lambda: b"running" in (folder / "log").read_bytes() or None, 30)
        yield port
    finally:
        broker.terminate()
        broker.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


def test_mqtt_clients_that_prove_themselves_speak_through_the_edge_with_a_broker_that_knows_it_alone(
    edge: Edges, pki: Pki, mosquitto: int
) -> None:
    demand = 'clients = { ca = "{pki}/public-ca.pem", mode = "require" }'
    allow = 'allow = { clients = ["client.test"] }'
    it = edge(route(mosquitto, tls="mutual", more=allow) + site(demand))
    folder = pki.folder
    # The clients know the broker by an address, and the name by what is checked: they send what they dial as server name.
    common = ["-h", "localhost", "-p", str(it.port), "-t", "a/b", "--cafile", str(pki.public.file), "--insecure"]
    proves = ["--cert", str(folder / "client.pem"), "--key", str(folder / "client.key")]
    it.parts["listener"] = 'no_sni = "streams"\nunknown_sni = "streams"'
    it.reload(route(mosquitto, tls="mutual", more=allow) + site(demand))
    kept = ["mosquitto_pub", *common, *proves, "-r", "-q", "1", "-m", "x" * 50_000]
    assert subprocess.run(kept, timeout=60, check=False, capture_output=True).returncode == 0
    hears = ["mosquitto_sub", *common, *proves, "-C", "1", "-W", "30"]
    heard = subprocess.run(hears, timeout=60, check=False, capture_output=True, text=True)
    assert heard.stdout == "x" * 50_000 + "\n"
    lines = [
        it.line(lambda line: is_end(line) and line["bytes_in"] > 50_000),
        it.line(lambda line: line["bytes_out"] > 50_000),
    ]
    for line in lines:
        assert line["client_hop"]["peer"]["names"] == ["client.test", "spiffe://test/client"]
        assert line["backend_hop"]["identity"] == "demanded"
    alien = ["--cert", str(folder / "pass.pem"), "--key", str(folder / "pass.key")]
    refused = ["mosquitto_pub", *common, *alien, "-m", "x"]
    assert subprocess.run(refused, timeout=60, check=False, capture_output=True).returncode != 0
    assert it.line(lambda line: line["end"] == "request/client-not-allowed")

"""`starttls = "postgres"`: clients ask the edge for TLS in the clear and get it, the edge asks backends in the same words,
and not a byte of the clear gets into a session."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Pki, Raw
from tests.kit.clients import opened
from tests.kit.edge import until
from tests.kit.raw import Record, rest, server_context
from tests.wire.test_tcp import echo, is_end, receive, route, site

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

SSL_REQUEST = bytes([0, 0, 0, 8, 4, 210, 22, 47])
GSS_REQUEST = bytes([0, 0, 0, 8, 4, 210, 22, 48])
CANCEL_REQUEST = bytes([0, 0, 0, 16, 4, 210, 22, 46]) + bytes(8)
STARTUP = b"\0\0\0\x13\0\x03\0\0user\0alice\0\0"
LISTENER = 'starttls = "postgres"'


@pytest.fixture(scope="module", autouse=True)
def leaf(pki: Pki) -> None:
    pki.public.leaf("streams", "mq.test", "db.test", "*.s.test")


def dial(port: int, *says: bytes) -> socket.socket:
    sock = opened(socket.create_connection(("127.0.0.1", port), 20))
    for part in says:
        sock.sendall(part)
    return sock


def secured(sock: socket.socket, ca: Path, alpn: str | None = None) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(ca))
    if alpn:
        context.set_alpn_protocols([alpn])
    return opened(context.wrap_socket(sock, server_hostname="mq.test"))


def test_a_client_asks_for_tls_and_gets_it_also_after_it_was_denied_gssapi(edge: Edges, raw: Raws, pki: Pki) -> None:
    backend = raw(echo)
    it = edge(route(backend.port) + site('alpn = ["postgresql"]'), listener=LISTENER)
    for first in (b"", GSS_REQUEST):
        sock = dial(it.port)
        if first:
            sock.sendall(first)
            assert receive(sock, 1) == b"N"
        for byte in SSL_REQUEST:
            sock.sendall(bytes([byte]))
        assert receive(sock, 1) == b"S"
        with secured(sock, pki.public.file) as session:
            session.sendall(STARTUP)
            assert receive(session, len(STARTUP)) == STARTUP
    # As PostgreSQL 17 has it: TLS at once, by its own ALPN.
    with secured(dial(it.port), pki.public.file, "postgresql") as session:
        assert session.selected_alpn_protocol() == "postgresql"
        session.sendall(b"direct")
        assert receive(session, 6) == b"direct"


@pytest.mark.parametrize(
    ("says", "slug"),
    [
        (SSL_REQUEST + STARTUP, "hello/early-bytes"),
        (SSL_REQUEST + b"\x16", "hello/early-bytes"),
        (GSS_REQUEST + SSL_REQUEST, "hello/early-bytes"),
        (STARTUP, "hello/tls-not-asked"),
        (CANCEL_REQUEST, "hello/tls-not-asked"),
        (SSL_REQUEST[:5], "hello/incomplete"),
    ],
)
def test_what_is_said_in_the_clear_gets_no_further(edge: Edges, raw: Raws, says: bytes, slug: str) -> None:
    """T16."""
    backend = raw(echo)
    it = edge(route(backend.port) + site(), listener=LISTENER)
    sock = dial(it.port, says)
    sock.shutdown(socket.SHUT_WR)
    got = receive(sock, 1000)
    assert got[:1] in (b"", b"E") and (b"sslmode=verify-full" in got) == (says == STARTUP)
    assert it.line(lambda line: line["end"] == slug)["route"] is None
    assert backend.records == []


def test_gssapi_is_denied_once(edge: Edges, raw: Raws) -> None:
    backend = raw(echo)
    it = edge(route(backend.port) + site(), listener=LISTENER)
    sock = dial(it.port, GSS_REQUEST)
    assert receive(sock, 1) == b"N"
    sock.sendall(GSS_REQUEST)
    assert receive(sock, 1) == b""
    assert it.line(lambda line: line["end"] == "hello/tls-not-asked")


def test_where_no_protocol_is_named_its_request_is_no_hello(edge: Edges, raw: Raws) -> None:
    backend = raw(echo)
    it = edge(route(backend.port) + site())
    assert receive(dial(it.port, SSL_REQUEST), 1) == b""
    assert it.line(lambda line: line["end"] == "hello/not-tls")


def asked(pki: Pki, answer: bytes, clients: Path | None = None) -> Callable[[socket.socket, Record], None]:
    """A backend that answers a request for TLS so, and where that is yes goes on as an echo."""

    def script(sock: socket.socket, record: Record) -> None:
        rest(sock, record, 8)
        sock.sendall(answer)
        if answer == b"S":
            context = server_context(pki.backend, clients=clients)
            with context.wrap_socket(sock, server_side=True) as session:
                echo(session, record)
        else:
            rest(sock, record, 1)

    return script


@pytest.mark.parametrize("pattern", ["reencrypt", "mutual"])
def test_the_edge_asks_a_backend_for_tls_in_the_same_words(edge: Edges, raw: Raws, pki: Pki, pattern: str) -> None:
    backend = raw(asked(pki, b"S", pki.internal.file if pattern == "mutual" else None))
    it = edge(route(backend.port, tls=pattern, more='starttls = "postgres"') + site())
    with secured(dial(it.port), pki.public.file) as session:
        session.sendall(STARTUP)
        assert receive(session, len(STARTUP)) == STARTUP
    assert backend.received == SSL_REQUEST + STARTUP
    line = it.line(is_end)
    assert line["backend_hop"]["peer"]["names"] == ["backend.internal"]


@pytest.mark.parametrize("answer", [b"N", b"E", b"Sx"])
def test_a_backend_that_says_anything_but_yes_is_sent_nothing(edge: Edges, raw: Raws, pki: Pki, answer: bytes) -> None:
    """T16."""
    backend = raw(asked(pki, answer))
    it = edge(route(backend.port, tls="reencrypt", more='starttls = "postgres"') + site())
    with secured(dial(it.port), pki.public.file) as session:
        # It is ended before or after that, as it comes.
        with contextlib.suppress(OSError):
            session.sendall(STARTUP)
            assert session.recv(1) == b""
    line = it.line(is_end)
    assert line["end"] == "hop/not-tls" and line["failed_hops"][0]["detail"]
    assert backend.received == SSL_REQUEST


def test_tls_that_passes_through_is_asked_for_too(edge: Edges, raw: Raws, pki: Pki) -> None:
    """The client asks the edge, the edge the backend, and the session is theirs."""
    pki.public.leaf("db", "db.test")
    seen: list[bytes] = []

    def script(sock: socket.socket, record: Record) -> None:
        head = rest(sock, record, 16)
        header = head + rest(sock, record, int.from_bytes(head[14:], "big"))
        seen.append(header + rest(sock, record, 8))
        sock.sendall(b"S")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pki.folder / "db.pem", pki.folder / "db.key")
        with context.wrap_socket(sock, server_side=True) as session:
            echo(session, record)

    backend = raw(script)
    passing = f"""
[[route]]
name = "db"
host = "db.test"
tls = "passthrough"
to = ["127.0.0.1:{backend.port}"]
starttls = "postgres"
send_proxy = "v2"
"""
    it = edge(passing, site=None, listener=LISTENER)
    sock = dial(it.port, SSL_REQUEST)
    assert receive(sock, 1) == b"S"
    context = ssl.create_default_context(cafile=str(pki.public.file))
    with context.wrap_socket(sock, server_hostname="db.test") as session:
        session.sendall(b"end to end")
        assert receive(session, 10) == b"end to end"
    (before,) = seen
    assert before.startswith(b"\r\n\r\n\0\r\nQUIT\n") and before.endswith(SSL_REQUEST)
    assert it.line(lambda line: line["route"] == "db")["client_hop"]["tls"] == "passed"


BINARIES = Path("/usr/lib/postgresql/15/bin")


@pytest.fixture(scope="module")
def postgres(pki: Pki) -> Iterator[int]:
    """PostgreSQL that takes nobody without TLS, and demands the edge's certificate of whoever comes."""
    if not BINARIES.exists() or shutil.which("psql") is None:
        pytest.skip("PostgreSQL 15 of Debian is not installed")
    folder = Path(tempfile.mkdtemp(prefix="eh-pg-"))
    owner = {"user": "nobody", "group": "nogroup"} if os.geteuid() == 0 else {}
    data = folder / "data"
    for name, to in (("backend.pem", "server.crt"), ("backend.key", "server.key"), ("internal-ca.pem", "root.crt")):
        shutil.copy(pki.folder / name, folder / to)
    if owner:
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, "nobody", "nogroup")
    run = {**owner, "check": True, "capture_output": True, "cwd": folder, "timeout": 120}
    subprocess.run([BINARIES / "initdb", "-D", data, "-U", "alice", "-A", "trust", "--no-sync"], **run)  # type: ignore[call-overload]
    (data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 trust clientcert=verify-ca\n")
    port = free_port()
    settings = {
        "port": port,
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "ssl": "on",
        "ssl_cert_file": folder / "server.crt",
        "ssl_key_file": folder / "server.key",
        "ssl_ca_file": folder / "root.crt",
        "fsync": "off",
    }
    said = [f"--{key}={value}" for key, value in settings.items()]
    log = (folder / "log").open("wb")
    server = subprocess.Popen([BINARIES / "postgres", "-D", data, *said], cwd=folder, stderr=log, **owner)  # type: ignore[call-overload]
    try:
        until(lambda: b"ready to accept" in (folder / "log").read_bytes() or None, 60)
        yield port
    finally:
        server.terminate()
        server.wait(30)
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


def psql(port: int, ca: Path, mode: str = "verify-full") -> subprocess.CompletedProcess[str]:
    said = f"host=mq.test hostaddr=127.0.0.1 port={port} user=alice dbname=postgres sslmode={mode} sslrootcert={ca}"
    ask = "select count(*), sum(length(repeat('x', 100000))) from generate_series(1, 100)"
    command = ["psql", "-X", "-A", "-t", "-c", ask, said]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_psql_speaks_with_postgresql_through_mutual_tls_that_each_side_asked_for(
    edge: Edges, pki: Pki, postgres: int
) -> None:
    it = edge(route(postgres, tls="mutual", more='starttls = "postgres"') + site(), listener=LISTENER)
    answer = psql(it.port, pki.public.file)
    assert (answer.returncode, answer.stdout) == (0, "100|10000000\n"), answer.stderr
    line = it.line(is_end)
    assert (line["end"], line["backend_hop"]["identity"]) == ("done", "demanded")
    refused = psql(it.port, pki.public.file, "disable")
    assert refused.returncode != 0 and "this port takes TLS only" in refused.stderr
    # Without our certificate the server lets nobody in, and says so in its own words.
    it.reload(route(postgres, tls="reencrypt", more='starttls = "postgres"') + site())
    alien = psql(it.port, pki.public.file)
    assert alien.returncode != 0 and "certificate" in alien.stderr

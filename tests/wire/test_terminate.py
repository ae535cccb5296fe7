"""TLS that ends here: versions, groups, certificates, clients' certificates, and what a failed handshake leaves."""

from __future__ import annotations

import base64
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509

from everyhop.demo.backends import Backend
from everyhop.demo.certificates import Authority, Leaf
from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.raw import answering

Edges = Callable[..., EdgeKit]

GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"


def route(port: int, more: str = "") -> str:
    return f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n{more}\n'


def s_client(it: EdgeKit, *more: str) -> str:
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{it.port}", "-servername", "a.test", *more]
    done = subprocess.run(command, input="", capture_output=True, text=True, timeout=30, check=False)
    return done.stdout + done.stderr


def test_tls_1_2_and_1_3_pass_and_the_modern_policy_takes_only_1_3(edge: Edges, pki: Pki) -> None:
    backend = Backend("b")
    it = edge(route(backend.port))
    for version, name in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
        with tls(it.port, "a.test", pki.public.file, highest=version) as sock:
            assert sock.version() == name
            assert exchange(sock, GET).status == 200
    strict = edge(route(backend.port), site='policy = "modern"')
    with pytest.raises(ssl.SSLError):
        tls(strict.port, "a.test", pki.public.file, highest=ssl.TLSVersion.TLSv1_2)
    line = strict.line(lambda x: x["end"] == "handshake/no-common-version")
    assert line["client_hop"]["tls"] == "failed" and line["sni"] == "a.test"
    backend.close()


def test_of_suites_of_tls_1_2_the_clients_order_counts(edge: Edges, pki: Pki) -> None:
    """As Mozilla's guidelines ask (`server_preferred_order`): a telephone without AES in hardware knows best."""
    it = edge(route(1))
    both = ["ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-GCM-SHA256"]
    for order in (both, both[::-1]):
        context = ssl.create_default_context(cafile=str(pki.public.file))
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(":".join(order))
        with (
            socket.create_connection(("127.0.0.1", it.port), 10) as sock,
            context.wrap_socket(sock, server_hostname="a.test") as secure,
        ):
            taken = secure.cipher()
            assert taken is not None and taken[0] == order[0]


def test_the_post_quantum_group_comes_first(edge: Edges) -> None:
    backend = Backend("b")
    it = edge(route(backend.port))
    seen = it.cli("probe", f"127.0.0.1:{it.port}", "--sni", "a.test", "--ca", str(it.pki.public.file))
    assert "X25519MLKEM768" in seen.stdout and "verified  ok" in seen.stdout, seen.stdout + seen.stderr
    backend.close()


def test_ecdsa_and_rsa_certificates_stand_side_by_side(edge: Edges, pki: Pki) -> None:
    backend = Backend("b")
    pki.public.leaf("edge-rsa", "a.test", "b.test", "c.test", "*.w.test", kind="rsa")
    it = edge(route(backend.port))
    text = it.config.read_text().replace(
        '/edge.key" }]',
        f'/edge.key" }}, {{ chain = "{pki.folder}/edge-rsa.pem", key = "file:{pki.folder}/edge-rsa.key" }}]',
    )
    it.config.write_text(text)
    assert it.admin("reload")["reloaded"]
    assert "Peer signature type: ECDSA" in s_client(it, "-sigalgs", "ECDSA+SHA256")
    assert "Peer signature type: RSA-PSS" in s_client(it, "-sigalgs", "RSA-PSS+SHA256")
    backend.close()


def test_a_resumed_session_is_told_as_such(edge: Edges, pki: Pki) -> None:
    backend = Backend("b")
    it = edge(route(backend.port))
    context = ssl.create_default_context(cafile=str(pki.public.file))
    session = None
    for expected in (False, True):
        import socket

        with socket.create_connection(("127.0.0.1", it.port), 20) as sock:
            with context.wrap_socket(sock, server_hostname="a.test", session=session) as spoken:
                assert exchange(spoken, GET).status == 200
                session = spoken.session
                assert spoken.session_reused is expected
        it.line(lambda x, expected=expected: x["client_hop"]["resumed"] is expected)  # type: ignore[misc]
    backend.close()


CLIENTS = 'clients = { ca = "{pki}/public-ca.pem", mode = "%s" }'


def test_a_demanded_client_certificate_is_verified_and_passed_on(edge: Edges, pki: Pki) -> None:
    """RFC 9440."""
    backend = Backend("b")
    it = edge(route(backend.port), site=CLIENTS % "require")
    with tls(it.port, "a.test", pki.public.file, leaf=pki.client) as sock:
        assert (
            exchange(sock, "GET / HTTP/1.1\r\nHost: a.test\r\nClient-Cert: :forged:\r\nClient_Cert: x\r\n\r\n").status
            == 200
        )
    given = backend.seen[-1]
    der = base64.b64decode(given["client-cert"].strip(":"))
    assert x509.load_der_x509_certificate(der) == x509.load_pem_x509_certificate(pki.client.chain.read_bytes())
    assert "client_cert" not in given
    assert it.line(lambda x: x["route"] == "r")["client_hop"]["peer"]["names"] == [
        "client.test",
        "spiffe://test/client",
    ]
    with pytest.raises((ssl.SSLError, ConnectionError)), tls(it.port, "a.test", pki.public.file) as sock:
        exchange(sock, GET)
    assert it.line(lambda x: x["end"] == "handshake/no-client-certificate")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        with tls(it.port, "a.test", pki.public.file, leaf=pki.identity) as sock:
            exchange(sock, GET)
    assert it.line(lambda x: x["end"] == "handshake/client-certificate-untrusted")
    backend.close()


def test_a_route_lets_only_its_clients_pass(edge: Edges, pki: Pki) -> None:
    backend = Backend("b")
    stranger = pki.public.leaf("stranger", "stranger.test")
    it = edge(route(backend.port, 'allow = { clients = ["spiffe://test/client"] }'), site=CLIENTS % "ask")
    for leaf, status in ((pki.client, 200), (stranger, 403), (None, 403)):
        with tls(it.port, "a.test", pki.public.file, leaf=leaf) as sock:
            answer = exchange(sock, GET)
        assert answer.status == status
    assert "request/client-not-allowed" in answer.text
    line = it.line(lambda x: x["end"] == "request/client-not-allowed")
    assert (line["route"], line["pattern"], line["status"]) == ("r", "plaintext", 403), "it is this route's refusal"
    told = until(lambda: now if (now := it.status())["routes"][0]["requests"] == 3 else None)
    assert told["routes"][0]["refused"] == {"request/client-not-allowed": 2}
    assert "request/client-not-allowed" not in told["refused"]
    backend.close()


@pytest.fixture
def own(edge: Edges, tmp_path: Path, pki: Pki) -> tuple[EdgeKit, Authority, Backend]:
    """An edge with a certificate of its own, which may be swapped."""
    authority = Authority(tmp_path / "own", "Own CA")
    authority.leaf("edge", "a.test")
    backend = Backend("b")
    it = edge(route(backend.port))
    text = (
        it.config.read_text()
        .replace(str(pki.folder / "edge."), str(authority.folder / "edge."))
        .replace(', "b.test", "c.test", "*.w.test"', "")
    )
    it.config.write_text(text)
    assert it.admin("reload")["reloaded"]
    return it, authority, backend


def shown(it: EdgeKit, authority: Authority) -> int:
    with tls(it.port, "a.test", authority.file) as sock:
        der = sock.getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der).serial_number


def serial(leaf: Leaf) -> int:
    return x509.load_pem_x509_certificate(leaf.chain.read_bytes()).serial_number


def test_a_renewed_certificate_is_shown_without_a_reload(own: tuple[EdgeKit, Authority, Backend]) -> None:
    """T14."""
    it, authority, backend = own
    before = it.status()["plan_digest"]
    fresh = authority.leaf("edge", "a.test")
    until(lambda: shown(it, authority) == serial(fresh), 5)
    assert it.status()["plan_digest"] == before, "the plan is the same, the material is another"
    backend.close()


def test_a_swapped_symlink_counts_as_a_renewal(own: tuple[EdgeKit, Authority, Backend]) -> None:
    """As Kubernetes mounts secrets: `..data` points to a folder, and the link is replaced."""
    it, authority, backend = own
    folder = authority.folder
    for number in ("1", "2"):
        (folder / number).mkdir()
        authority.leaf("edge", "a.test")
        for name in ("edge.pem", "edge.key"):
            shutil.move(folder / name, folder / number / name)
    (folder / "data").symlink_to("1")
    for name in ("edge.pem", "edge.key"):
        (folder / name).symlink_to(f"data/{name}")
    first = serial(Leaf(folder / "1/edge.pem", folder / "1/edge.key"))
    until(lambda: shown(it, authority) == first, 5)
    (folder / "new").symlink_to("2")
    os.replace(folder / "new", folder / "data")
    second = serial(Leaf(folder / "2/edge.pem", folder / "2/edge.key"))
    until(lambda: shown(it, authority) == second, 5)
    backend.close()


def test_a_certificate_without_its_key_leaves_the_last_good_pair(own: tuple[EdgeKit, Authority, Backend]) -> None:
    """T14."""
    it, authority, backend = own
    before = shown(it, authority)
    mark = len(it.edge.said)
    key = (authority.folder / "edge.key").read_bytes()
    authority.leaf("edge", "a.test")
    (authority.folder / "edge.key").write_bytes(key)
    it.edge.wait_for("the last good ones stay", 10, after=mark)
    assert shown(it, authority) == before
    backend.close()


def test_a_site_whose_certificate_ends_while_running_closes_alone(edge: Edges, pki: Pki, tmp_path: Path) -> None:
    import datetime as dt
    import socket

    backend = Backend("b")
    short = Authority(tmp_path / "short", "Short CA")
    seconds = 6
    short.leaf("short", "short.test", days=seconds / 86_400)
    ends = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
    site = f'[[site]]\nname = "short"\nhosts = ["short.test"]\ncerts = [{{ chain = "{short.folder}/short.pem", key = "file:{short.folder}/short.key" }}]\n'
    it = edge(route(backend.port) + site + route(backend.port).replace('"r"', '"s"').replace("a.test", "short.test"))
    lax = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    lax.check_hostname, lax.verify_mode = False, ssl.CERT_NONE

    def status() -> int:
        with (
            socket.create_connection(("127.0.0.1", it.port), 20) as raw,
            lax.wrap_socket(raw, server_hostname="short.test") as sock,
        ):
            return exchange(sock, "GET / HTTP/1.1\r\nHost: short.test\r\n\r\n").status

    if dt.datetime.now(dt.UTC) < ends - dt.timedelta(seconds=2):
        assert status() == 200
    until(lambda: status() == 503, 20)
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, GET).status == 200, "the other site goes on"
    backend.close()


def test_openssl_s_server_is_a_backend_as_good_as_any(edge: Edges, pki: Pki) -> None:
    from everyhop.demo.stage import free_port

    port = free_port()
    leaf = pki.backend
    command = [
        "openssl",
        "s_server",
        "-accept",
        f"127.0.0.1:{port}",
        "-www",
        "-quiet",
        "-cert",
        str(leaf.chain),
        "-key",
        str(leaf.key),
    ]
    command += ["-Verify", "2", "-verify_return_error", "-CAfile", str(pki.internal.file)]
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        verify = f'verify = {{ ca = "{pki.internal.file}", name = "backend.internal" }}\npresent = "edge"'
        it = edge(f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "mutual"\nto = ["127.0.0.1:{port}"]\n{verify}\n')

        def answered() -> str | None:
            with tls(it.port, "a.test", pki.public.file) as sock:
                answer = exchange(sock, GET)
            return answer.text if answer.status == 200 else None

        page = until(answered, 20)
        assert "edge.internal" in page, "it shows our certificate"
        assert it.line(lambda x: x["status"] == 200)["backend_hop"]["identity"] == "demanded"
    finally:
        server.kill()
        server.wait(10)


def records(port: int, ca: Path, count: int) -> list[int]:
    """Lengths of the application-data records in which one answer came."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = ssl.create_default_context(cafile=str(ca)).wrap_bio(incoming, outgoing, server_hostname="a.test")
    lengths: list[int] = []
    unread = bytearray()
    with socket.create_connection(("127.0.0.1", port), 10) as sock:

        def more() -> None:
            sock.sendall(outgoing.read())
            data = sock.recv(1 << 16)
            incoming.write(data)
            unread.extend(data)
            while len(unread) >= 5 and len(unread) >= 5 + int.from_bytes(unread[3:5], "big"):
                length = int.from_bytes(unread[3:5], "big")
                if unread[0] == 23:
                    lengths.append(length)
                del unread[: 5 + length]

        while True:
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                more()
        session.write(GET.encode())
        lengths.clear()
        got = 0
        while got < count:
            try:
                got += len(session.read(1 << 16))
            except ssl.SSLWantReadError:
                more()
    return lengths


def test_a_flow_begins_with_records_that_fit_a_segment_and_goes_on_with_full_ones(
    edge: Edges, raw: Callable[..., Raw], pki: Pki
) -> None:
    size = 200_000
    backend = raw(answering(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size))
    it = edge(route(backend.port))
    lengths = records(it.port, pki.public.file, size)
    small = [n for n in lengths if n < 1450]
    assert len(small) >= 10 and lengths.index(max(lengths)) >= 10, lengths
    assert max(lengths) > 16_000 and len(lengths) < 40, lengths

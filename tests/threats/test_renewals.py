"""Trust material that changes while it is in use: what was proved by a file holds only as long as the file says so.

Paths stay as they are, only what stands in them changes, so that no plan differs by its text: hashes alone can tell.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from everyhop.demo.certificates import Authority, Leaf, put
from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.clients import opened
from tests.kit.edge import until
from tests.kit.forge import crl, forged, root, saved
from tests.kit.raw import OK, answering, head
from tests.threats.ground import response

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])


def material(it: EdgeKit) -> str:
    return str(it.status()["material_digest"])


def taken_up(it: EdgeKit, path: Path, what: bytes) -> None:
    """Replaces a file that is watched, and waits until the engine runs by what it says now."""
    before = material(it)
    put(path, what, 0o644)
    until(lambda: material(it) != before or None, 20)


def closing(sock: socket.socket, record: bytearray) -> None:
    """Answers once a connection, so that each request needs a handshake: by a ticket where the edge has one."""
    if head(sock, record) is not None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        if isinstance(sock, ssl.SSLSocket):
            sock.unwrap().close()


@pytest.mark.parametrize("script", [answering(OK), closing], ids=["a connection is open", "a ticket is there"])
@pytest.mark.parametrize("pattern", ["reencrypt", "mutual"])
def test_an_authority_that_is_taken_out_of_its_file_vouches_for_no_backend_any_more(
    edge: Edges, raw: Raws, pki: Pki, tmp_path: Path, pattern: str, script: Callable[..., None]
) -> None:
    """T13. Neither by a connection nor by a session from before; put back, it vouches again."""
    backend = raw(script, pki.backend)
    ca = tmp_path / "hop-ca.pem"
    old, new = pki.internal.file.read_bytes(), Authority(tmp_path, "New CA").file.read_bytes()
    put(ca, old + new, 0o644)
    present = 'present = "edge"\n' if pattern == "mutual" else ""
    it = edge(
        f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "{pattern}"\nto = ["127.0.0.1:{backend.port}"]\n'
        f'verify = {{ ca = "{ca}", name = "backend.internal" }}\n{present}'
    )
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert [exchange(sock, GET).status for _ in range(3)] == [200, 200, 200]
        taken_up(it, ca, new)
        before = backend.received
        for _ in range(2):
            answer = exchange(sock, GET)
            assert answer.status == 502 and "hop/untrusted" in answer.text, answer
        assert backend.received == before, "not a byte of a request"
        taken_up(it, ca, old + new)
        assert exchange(sock, GET).status == 200


def test_a_backend_is_shown_the_identity_that_stands_in_the_file_now(edge: Edges, pki: Pki, raw: Raws) -> None:
    """T07. A renewed identity is shown at the next request, though a connection that showed the old one is open."""
    shown: list[int] = []

    def script(sock: socket.socket, record: bytearray) -> None:
        assert isinstance(sock, ssl.SSLSocket)
        cert = sock.getpeercert()
        assert cert
        while head(sock, record) is not None:
            shown.append(int(str(cert["serialNumber"]), 16))
            sock.sendall(OK)

    backend = raw(script, pki.backend, clients=pki.internal.file)
    first = pki.internal.leaf("renewed", "edge.internal")
    identity = f'[[identity]]\nname = "own"\nchain = "{first.chain}"\nkey = "file:{first.key}"\n'
    it = edge(
        f'{identity}[[route]]\nname = "r"\nhost = "a.test"\ntls = "mutual"\nto = ["127.0.0.1:{backend.port}"]\n'
        'verify = { ca = "{pki}/internal-ca.pem", name = "backend.internal" }\npresent = "own"\n'
    )
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, GET).status == 200
        before = material(it)
        pki.internal.leaf("renewed", "edge.internal")
        until(lambda: material(it) != before or None, 20)
        assert exchange(sock, GET).status == 200
    assert len(shown) == 2 and shown[0] != shown[1]


@dataclass
class Known:
    """A client with a certificate, that resumes what it has."""

    it: EdgeKit
    context: ssl.SSLContext

    @classmethod
    def of(cls, it: EdgeKit, pki: Pki, leaf: Leaf, version: ssl.TLSVersion) -> Known:
        context = ssl.create_default_context(cafile=str(pki.public.file))
        context.maximum_version = version
        context.load_cert_chain(leaf.chain, leaf.key)
        return cls(it, context)

    def open(self, session: ssl.SSLSession | None = None) -> ssl.SSLSocket:
        sock = opened(socket.create_connection(("127.0.0.1", self.it.port), 20))
        return self.context.wrap_socket(sock, server_hostname="a.test", session=session)

    def visit(self, session: ssl.SSLSession | None) -> tuple[int, bool, ssl.SSLSession | None]:
        """The status, 0 where the handshake or the connection ended; whether it resumed; what to resume by."""
        try:
            with self.open(session) as sock:
                sock.sendall(GET.encode())
                return response(sock)[0], bool(sock.session_reused), sock.session
        except OSError:
            return 0, False, None


@VERSIONS
def test_a_client_that_is_revoked_passes_neither_by_its_ticket_nor_on_its_open_connection(
    edge: Edges, raw: Raws, pki: Pki, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    """T11. T06. Who is not revoked proves itself once more, and is served."""
    backend = raw(answering(OK))
    by = root(pki.public)
    revoked, other = (forged(f"{n}.test", by, names=[f"{n}.test"]) for n in ("revoked", "other"))
    leaves = [saved(tmp_path, n, leaf, by) for n, leaf in (("revoked", revoked), ("other", other))]
    path = crl(tmp_path / "list.pem", by)
    it = edge(
        f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{backend.port}"]\n',
        site=f'clients = {{ ca = "{{pki}}/public-ca.pem", crl = "{path}" }}',
    )
    clients = [Known.of(it, pki, leaf, version) for leaf in leaves]
    sessions = [client.visit(None)[2] for client in clients]
    for client, session in zip(clients, sessions, strict=True):
        assert client.visit(session)[:2] == (200, True), "the ticket is good"
    with clients[0].open() as sock:
        assert exchange(sock, GET).status == 200
        taken_up(it, path, crl(tmp_path / "next.pem", by, revoked.cert).read_bytes())
        before = backend.received
        assert clients[0].visit(sessions[0])[:2] == (0, False)
        sock.settimeout(20)
        try:
            sock.sendall(GET.encode())
            assert response(sock)[0] == 0
        except OSError:
            pass
        assert backend.received == before, "nothing of the revoked one came through"
    assert clients[1].visit(sessions[1])[:2] == (200, False)


@VERSIONS
def test_a_client_whose_authority_is_taken_out_of_the_file_passes_by_no_ticket(
    edge: Edges, raw: Raws, pki: Pki, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    """T06. The file keeps its name; the plan is the same to the letter."""
    backend = raw(answering(OK))
    stranger = Authority(tmp_path, "Second CA")
    ca, own = tmp_path / "clients.pem", pki.public.file.read_bytes()
    put(ca, own + stranger.file.read_bytes(), 0o644)
    it = edge(
        f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{backend.port}"]\n',
        site=f'clients = {{ ca = "{ca}" }}',
    )
    digest = it.status()["plan_digest"]
    client = Known.of(it, pki, stranger.leaf("second", "second.test"), version)
    session = client.visit(None)[2]
    assert client.visit(session)[:2] == (200, True), "the ticket is good"
    taken_up(it, ca, own)
    assert it.status()["plan_digest"] == digest
    before = backend.received
    assert client.visit(session)[:2] == (0, False)
    assert backend.received == before
    assert Known.of(it, pki, pki.client, version).visit(None)[0] == 200


@VERSIONS
def test_a_backend_that_never_asks_who_we_are_is_told_of_at_each_request(
    edge: Edges, pki: Pki, raw: Raws, version: ssl.TLSVersion
) -> None:
    """T13. A resumed session asks nobody anything: the alarm is that of the handshake it goes back to."""
    backend = raw(closing, pki.backend)
    assert backend.context
    backend.context.maximum_version = version
    it = edge(
        f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "mutual"\nto = ["127.0.0.1:{backend.port}"]\n'
        'verify = { ca = "{pki}/internal-ca.pem", name = "backend.internal" }\npresent = "edge"\n'
    )
    with tls(it.port, "a.test", pki.public.file) as sock:
        for _ in range(4):
            assert exchange(sock, GET).status == 200
    lines = until(lambda: found if len(found := [x for x in it.lines() if x["route"] == "r"]) == 4 else None)
    hops = [line["backend_hop"] for line in lines]
    assert any(hop["resumed"] for hop in hops), hops
    assert [hop["identity"] for hop in hops] == ["not_demanded"] * 4
    assert [line["alarms"] for line in lines] == [["identity_not_demanded"]] * 4
    assert it.status()["routes"][0]["backends"][0]["identity"] == "not_demanded"

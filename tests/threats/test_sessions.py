"""What one session proved holds for that session alone: not for another route's, nor another client's, nor under a plan
that has become stricter; and a session that is not ours is passed on as it is."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from everyhop.demo.certificates import Authority, Leaf, put
from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Pki, Raw, exchange, hello_bytes, tls
from tests.kit.clients import opened
from tests.kit.edge import until
from tests.kit.forge import forged, root
from tests.kit.raw import OK, answering, head, rest
from tests.kit.settle import settle
from tests.threats.frames import Client, fields
from tests.threats.ground import Ground, response

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"


def get(path: str, more: str = "") -> str:
    return f"GET {path} HTTP/1.1\r\nHost: a.test\r\n{more}\r\n"


# T07: one address, many hops.


@dataclass
class Shown:
    """What a backend was shown on one connection."""

    name: str
    client: str
    resumed: bool
    paths: list[str] = field(default_factory=list)


class Judge:
    """A TLS backend that writes down who came, by which name and session; `closes` it after each answer."""

    def __init__(self, pki: Pki, *, closes: bool) -> None:
        self.seen: list[Shown] = []
        self.names: dict[int, str] = {}
        self.closes = closes
        self.raw = Raw(self.script, pki.internal.leaf("both", "one.internal", "two.internal"))
        context = self.raw.context
        assert context is not None
        context.load_verify_locations(pki.internal.file)
        context.verify_mode = ssl.CERT_OPTIONAL
        context.sni_callback = lambda sock, name, _: self.names.__setitem__(id(sock), name or "")

    def script(self, sock: socket.socket, record: bytearray) -> None:
        assert isinstance(sock, ssl.SSLSocket)
        cert = sock.getpeercert() or {}
        subject = dict(pair for rdn in cert.get("subject", ()) for pair in rdn)  # type: ignore[misc]
        shown = Shown(self.names.pop(id(sock), ""), subject.get("commonName", ""), bool(sock.session_reused))
        self.seen.append(shown)
        end = b"Connection: close\r\n" if self.closes else b""
        while (request := head(sock, record)) is not None:
            shown.paths.append(request.split(b" ")[1].decode())
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n%s\r\nok" % end)
            if self.closes:
                return


HOPS = {
    "/one": 'tls = "mutual"\nverify = { ca = "{pki}/internal-ca.pem", name = "one.internal" }\npresent = "edge"',
    "/two": 'tls = "mutual"\nverify = { ca = "{pki}/internal-ca.pem", name = "two.internal" }\npresent = "edge"',
    "/second": 'tls = "mutual"\nverify = { ca = "{pki}/internal-ca.pem", name = "one.internal" }\npresent = "second"',
    "/nobody": 'tls = "reencrypt"\nverify = { ca = "{pki}/internal-ca.pem", name = "one.internal" }',
    "/roots": 'tls = "mutual"\nverify = { ca = "{pki}/all-ca.pem", name = "one.internal" }\npresent = "edge"',
    "/wrong": 'tls = "mutual"\nverify = { ca = "{pki}/internal-ca.pem", name = "three.internal" }\npresent = "edge"',
    "/stranger": 'tls = "mutual"\nverify = { ca = "{pki}/public-ca.pem", name = "one.internal" }\npresent = "edge"',
}
EXPECTED = {
    "/one": ("one.internal", "edge.internal"),
    "/two": ("two.internal", "edge.internal"),
    "/second": ("one.internal", "second.internal"),
    "/nobody": ("one.internal", ""),
    "/roots": ("one.internal", "edge.internal"),
}


def hops(port: int) -> str:
    second = '[[identity]]\nname = "second"\nchain = "{pki}/second.pem"\nkey = "file:{pki}/second.key"\n'
    routes = [
        f'[[route]]\nname = "{path[1:]}"\nhost = "a.test"\npath = "{path}"\nto = ["127.0.0.1:{port}"]\n'
        + settings
        + "\n"
        for path, settings in HOPS.items()
    ]
    return second + "".join(routes)


@pytest.mark.parametrize("closes", [True, False], ids=["a session each", "a connection each"])
def test_hops_that_differ_in_anything_share_no_connection_and_no_session(edge: Edges, pki: Pki, closes: bool) -> None:
    """T07. Same address, other name, roots, identity or none: each proves itself anew, and what does not verify gets no
    request, though connections and sessions to that very address are there."""
    pki.internal.leaf("second", "second.internal")
    both = pki.internal.file.read_bytes() + pki.public.file.read_bytes()
    put(pki.folder / "all-ca.pem", both, 0o644)
    judge = Judge(pki, closes=closes)
    it = edge(hops(judge.raw.port))
    with tls(it.port, "a.test", pki.public.file) as sock:
        for _ in range(3):
            for path in EXPECTED:
                assert exchange(sock, get(path)).status == 200, path
            for path, slug in (("/wrong", "hop/name-mismatch"), ("/stranger", "hop/untrusted")):
                answer = exchange(sock, get(path))
                assert answer.status == 502 and slug in answer.text, (path, answer.text)
    by_path: dict[str, list[Shown]] = {}
    for shown in judge.seen:
        assert len(set(shown.paths)) <= 1, f"one connection for two hops: {shown}"
        if shown.paths:
            by_path.setdefault(shown.paths[0], []).append(shown)
    assert set(by_path) == set(EXPECTED)
    for path, seen in by_path.items():
        assert {(s.name, s.client) for s in seen} == {EXPECTED[path]}, path
        assert not seen[0].resumed, f"{path} began with a session that was another hop's"
        if closes:
            assert len(seen) == 3 and seen[1].resumed and seen[2].resumed, "its own session it does resume"
        else:
            assert len(seen) == 1 and len(seen[0].paths) == 3, "its own connection it does reuse"
    judge.raw.close()


def knowing(sock: socket.socket, record: bytearray) -> None:
    """Like servers that take NTLM or Negotiate: whoever authenticates is who speaks on that connection from then on."""
    user = b"nobody"
    while (request := head(sock, record)) is not None:
        if told := re.search(rb"\r\nauthorization: (?:NTLM|Negotiate|Basic) (\w+)\r\n", request, re.I):
            user = told[1]
        if user == b"nobody":
            sock.sendall(
                b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=x, NTLM\r\nWWW-Authenticate: Negotiate\r\n"
                b"Content-Length: 0\r\n\r\n"
            )
        else:
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(user) + user)


@pytest.mark.parametrize("protocol", ["h1", "h2"])
@pytest.mark.parametrize("scheme", ["NTLM", "Negotiate", "nTLM", "negotiate"])
def test_a_connection_that_somebody_authenticated_serves_nobody_else(
    edge: Edges, raw: Raws, pki: Pki, scheme: str, protocol: str
) -> None:
    """T07. Authentication of the connection holds for one request; the next one, anybody's, comes on another."""
    backend = raw(knowing)
    it = edge(f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{backend.port}"]\n')

    def ask(authorization: str) -> tuple[str, str]:
        if protocol == "h2":
            with tls(it.port, "a.test", pki.public.file, alpn=["h2"]) as sock:
                sock.settimeout(20)
                client = Client(sock)
                more = [(b"authorization", authorization.encode())] if authorization else []
                return client.ask(1, fields("a.test", *more)), client.bodies.get(1, b"").decode()
        with tls(it.port, "a.test", pki.public.file) as sock:
            answer = exchange(sock, get("/", f"Authorization: {authorization}\r\n" if authorization else ""))
            return str(answer.status), answer.text

    assert ask("Basic carol") == ("200", "carol")
    assert ask("Basic carol") == ("200", "carol")
    assert len(backend.records) == 1, "what is proved by each request is no reason to open another connection"
    assert ask(f"{scheme} alice") == ("200", "alice")
    assert ask("")[0] == "401", "nobody is alice but alice"
    assert ask("")[0] == "401"
    assert ask(f"{scheme} bob") == ("200", "bob")
    # The first is carol's, which alice authenticated anew and took out of the pool with her.
    assert len(backend.records) == 4
    assert all(bytes(record).count(b"GET ") == 1 for record in backend.records[1:])


# T06: tickets over a reload.


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_a_ticket_from_before_a_reload_that_asks_more_of_clients_is_worth_nothing(
    edge: Edges, raw: Raws, pki: Pki, version: ssl.TLSVersion, tmp_path: Path
) -> None:
    """T06. From asking nobody to demanding a certificate; from two authorities to one of them; and it stays resumable
    over a reload that changes nothing of it."""
    other = Authority(tmp_path, "Other CA")
    stranger = other.leaf("stranger", "stranger.test")
    put(pki.folder / "two-ca.pem", pki.public.file.read_bytes() + other.file.read_bytes(), 0o644)
    backend = raw(answering(OK))
    routes = f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{backend.port}"]\n'
    it = edge(routes)

    def context(leaf: Leaf | None) -> ssl.SSLContext:
        made = ssl.create_default_context(cafile=str(pki.public.file))
        made.maximum_version = version
        if leaf:
            made.load_cert_chain(leaf.chain, leaf.key)
        return made

    def visit(made: ssl.SSLContext, session: ssl.SSLSession | None) -> tuple[int, bool, ssl.SSLSession | None]:
        """The status (0: the handshake or the connection ended), whether it resumed, and what to resume by."""
        try:
            with made.wrap_socket(
                socket.create_connection(("127.0.0.1", it.port), 20), server_hostname="a.test", session=session
            ) as sock:
                resumed = bool(sock.session_reused)
                sock.sendall(GET.encode())
                status = response(sock)[0]
                return status, resumed, sock.session
        except OSError:
            return 0, False, None

    def reload(site: str) -> None:
        it.site = site
        assert it.reload(routes)["reloaded"]

    unknown, known, foreign = context(None), context(pki.client), context(stranger)
    first = visit(unknown, None)
    assert first[0] == 200
    assert visit(unknown, first[2])[:2] == (200, True)
    assert it.reload(routes + "priority = 1\n")["reloaded"]
    assert visit(unknown, first[2])[:2] == (200, True), "another reload takes nothing from it"

    reload('clients = { ca = "{pki}/two-ca.pem" }')
    before = len(backend.received)
    assert visit(unknown, first[2])[:2] == (0, False)
    settle(it, backend)
    assert len(backend.received) == before
    both = {name: visit(made, None) for name, made in {"known": known, "foreign": foreign}.items()}
    assert [b[0] for b in both.values()] == [200, 200]
    assert visit(foreign, both["foreign"][2])[:2] == (200, True)

    reload('clients = { ca = "{pki}/public-ca.pem" }')
    before = len(backend.received)
    assert visit(foreign, both["foreign"][2])[:2] == (0, False), "its authority is gone, and what it proved with it"
    settle(it, backend)
    assert len(backend.received) == before
    assert visit(known, both["known"][2])[:2] == (200, False), "proved anew"


# T14: certificates change.


@dataclass
class Own:
    """An edge whose site has a certificate of its own."""

    edge: EdgeKit
    authority: Authority

    def serial(self) -> int:
        with tls(self.edge.port, "a.test", self.authority.file) as sock:
            der = sock.getpeercert(binary_form=True)
            assert der and exchange(sock, GET).status == 200
        return x509.load_der_x509_certificate(der).serial_number


@pytest.fixture
def own(edge: Edges, raw: Raws, pki: Pki, tmp_path: Path) -> Iterator[Own]:
    authority = Authority(tmp_path / "own", "Own CA")
    authority.leaf("edge", "a.test")
    status = free_port()
    it = edge(
        f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{raw(answering(OK)).port}"]\n',
        more=f'[status]\nbind = "127.0.0.1:{status}"\n',
    )
    it.edge.stop()
    text = it.config.read_text().replace(str(pki.folder / "edge."), str(authority.folder / "edge."))
    it.config.write_text(text.replace(', "b.test", "c.test", "*.w.test"', ""))
    it.edge = type(it.edge)(it.config)
    it.edge.wait_for("ready:", 60)
    yield Own(it, authority)


def of(leaf: Leaf) -> int:
    return x509.load_pem_x509_certificate(leaf.chain.read_bytes()).serial_number


def test_leaves_that_are_swapped_under_handshakes_fail_none_of_them(own: Own) -> None:
    """T14. Twenty renewals under two clients without a pause; each is served, and none in between is refused."""
    stop, failures, handshakes = threading.Event(), list[BaseException](), [0, 0]

    def shake(which: int) -> None:
        while not stop.is_set():
            try:
                own.serial()
                handshakes[which] += 1
            except BaseException as e:
                failures.append(e)
                return

    clients = [threading.Thread(target=shake, args=(i,)) for i in range(2)]
    for it in clients:
        it.start()
    try:
        for _ in range(20):
            fresh = of(own.authority.leaf("edge", "a.test"))
            until(lambda fresh=fresh: own.serial() == fresh or None, 20)  # type: ignore[misc]
    finally:
        stop.set()
        for it in clients:
            it.join()
    assert not failures, failures
    assert min(handshakes) > 20, handshakes


def test_a_chain_in_the_wrong_order_or_of_another_leaf_is_refused_and_the_last_good_one_stays(own: Own) -> None:
    """T14. At a renewal, at a reload and by `check`."""
    before, chain = own.serial(), own.authority.folder / "edge.pem"
    good = chain.read_bytes()
    middle = forged("Middle CA", root(own.authority), ca=True)
    leaf = forged("a.test", middle, names=["a.test"])
    pems = [it.cert.public_bytes(Encoding.PEM) for it in (leaf, middle)]
    other = forged("Other CA", root(own.authority), ca=True).cert.public_bytes(Encoding.PEM)
    for what in (pems[1] + pems[0], pems[0] + other + pems[1], good + pems[1], pems[0], b"", good[:200]):
        mark = len(own.edge.edge.said)
        put(chain, what, 0o644)
        own.edge.edge.wait_for("the last good ones stay", 20, after=mark)
        answer = own.edge.admin("reload")
        assert not answer["reloaded"]
        slugs = {finding["slug"] for finding in answer["findings"]}
        assert slugs & {"certificate/unreadable", "certificate/chain-broken", "certificate/key-mismatch"}, slugs
        assert own.edge.cli("check", str(own.edge.config)).returncode == 1
        assert own.serial() == before
        put(chain, good, 0o644)
        assert own.edge.admin("reload")["reloaded"]
    assert own.serial() == before


def test_a_certificate_that_ends_soon_is_told_before_it_does(own: Own) -> None:
    """T14. In the log of the supervisor, by `check`, and as a moment that an alarm can be set on."""
    mark = len(own.edge.edge.said)
    leaf = own.authority.leaf("edge", "a.test", days=5)
    until(lambda: own.serial() == of(leaf) or None, 20)
    assert own.edge.admin("reload")["reloaded"]
    own.edge.edge.wait_for("certificate/expires-soon", 20, after=mark)
    checked = own.edge.cli("check", str(own.edge.config))
    assert checked.returncode == 0 and "certificate/expires-soon" in checked.stderr
    ends = x509.load_pem_x509_certificate(leaf.chain.read_bytes()).not_valid_after_utc
    assert ends - dt.datetime.now(dt.UTC) < dt.timedelta(days=6)
    bound = re.search(r'\[status\]\nbind = "([^"]+)"', own.edge.config.read_text())
    assert bound
    with urlopen(f"http://{bound[1]}/metrics", timeout=20) as answer:
        text = answer.read().decode()
    assert (
        f'everyhop_expires_timestamp_seconds{{kind="certificate",name="site/edge/0"}} {int(ends.timestamp())}' in text
    )


# T15: a session that is not ours.

SERVER_HELLO = bytes.fromhex(
    "160303003c020000380303" + "07" * 32 + "00130100" + "0010" + "002b00020304" + "00330006001d0002aabb"
)


def reset(sock: socket.socket) -> None:
    """Closes with a RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def passed(port: int) -> str:
    return f'[[route]]\nname = "pass"\nhost = "pass.test"\ntls = "passthrough"\nto = ["127.0.0.1:{port}"]\n'


def test_a_reset_is_passed_on_as_a_reset_either_way(edge: Edges, raw: Raws) -> None:
    """T15. An end that was none must not look like one; and no alert of ours is in what was sent before."""
    hello, ends = hello_bytes("pass.test"), list[str]()
    gate, done = threading.Event(), threading.Event()

    def script(sock: socket.socket, record: bytearray) -> None:
        rest(sock, record, len(hello))
        sock.sendall(SERVER_HELLO)
        if rest(sock, record, 4) == b"quit":
            gate.wait(20)
            return reset(sock)
        try:
            ends.append("end" if sock.recv(1) == b"" else "more")
        except ConnectionResetError:
            ends.append("reset")
        done.set()

    backend = raw(script)
    it = edge(passed(backend.port), site=None)
    with socket.create_connection(("127.0.0.1", it.port), 20) as sock:
        sock.sendall(hello)
        assert rest(sock, bytearray(), len(SERVER_HELLO)) == SERVER_HELLO
        sock.sendall(b"quit")
        gate.set()
        with pytest.raises(ConnectionResetError):
            assert sock.recv(100) == b"no byte of ours"
    sock = opened(socket.create_connection(("127.0.0.1", it.port), 20))
    sock.sendall(hello)
    assert rest(sock, bytearray(), len(SERVER_HELLO)) == SERVER_HELLO
    sock.sendall(b"stay")
    until(lambda: backend.received.endswith(b"stay"), 20)
    reset(sock)
    assert done.wait(20)
    assert ends == ["reset"]
    until(lambda: it.status()["routes"][0]["refused"].get("connection/broken") == 2, 20)
    assert backend.received == hello + b"quit" + hello + b"stay"


def test_an_end_of_the_backend_adds_nothing_to_what_it_said(edge: Edges, raw: Raws) -> None:
    """T15. No alert, no close_notify, also where it ended within a record; the other way stays open."""
    hello, ended = hello_bytes("pass.test"), threading.Event()
    cut = SERVER_HELLO + b"\x17\x03\x03\x10\x00half a record"

    def script(sock: socket.socket, record: bytearray) -> None:
        rest(sock, record, len(hello))
        sock.sendall(cut)
        sock.shutdown(socket.SHUT_WR)
        while more := sock.recv(4096):
            record += more
        ended.set()

    backend = raw(script)
    it = edge(passed(backend.port), site=None)
    with socket.create_connection(("127.0.0.1", it.port), 20) as sock:
        sock.sendall(hello)
        said = b"".join(iter(lambda: sock.recv(4096), b""))
        assert said == cut
        sock.sendall(b"after your end")
        sock.shutdown(socket.SHUT_WR)
        assert ended.wait(20)
    assert backend.received == hello + b"after your end"
    assert it.line(lambda x: x["route"] == "pass")["end"] == "done"


def test_a_large_session_passes_whole(ground: Ground) -> None:
    """T15. 64 MiB there and back under one session that is the backend's, compared as they come."""
    block = bytes(range(256)) * 256
    backend = ground.upstreams["passthrough"]
    before, script = backend.script, mirroring
    backend.script = script
    try:
        with ground.connect("pass.test") as sock:
            # One thread for both ways: a session of OpenSSL's is not to be read and written by two at once.
            sock.setblocking(False)
            sent, back = 0, bytearray()
            for _ in range(1024):
                while len(back) < len(block):
                    readable, writable, _ = select.select([sock], [sock] if sent < 1024 * len(block) else [], [], 60)
                    assert readable or writable, "it stands still"
                    with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                        if writable:
                            sent += sock.send(block[sent % len(block) :])
                    with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                        while data := sock.recv(1 << 16):
                            back += data
                assert back[: len(block)] == block
                del back[: len(block)]
    finally:
        backend.script = before


def mirroring(sock: socket.socket, record: bytearray) -> None:
    with contextlib.suppress(OSError):
        while more := sock.recv(1 << 18):
            sock.sendall(more)

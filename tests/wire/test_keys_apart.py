"""`[engine] keys = "apart"`: what an engine does not have it cannot give away, what signs for it signs handshakes and nothing else,
and none is lost when that dies."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from everyhop.admin.keyholding import Keyholding
from everyhop.demo.certificates import Leaf, put
from everyhop.engine import holding as h
from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.halt import halt
from tests.kit.process import ROOT, children, is_readable, open_files, tasks
from tests.kit.raw import OK, answering

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
CLOSE = "GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n"
KEEP = "GET / HTTP/1.1\r\nHost: {}\r\n\r\n"
ROUTES = """[[route]]
name = "mutual"
host = "c.test"
tls = "mutual"
to = ["127.0.0.1:{mutual}"]
verify = {{ ca = "{{pki}}/internal-ca.pem", name = "backend.internal" }}
present = "edge"
[[route]]
name = "plaintext"
host = "a.test"
tls = "plaintext"
to = ["127.0.0.1:{plain}"]
"""


class Ground:
    """An edge whose keys are apart, unless `engine` says otherwise; one backend asks for its certificate."""

    def __init__(
        self, edge: Edges, raw: Raws, pki: Pki, engine: str = 'keys = "apart"', answer: bytes = OK, **more: Any
    ) -> None:
        self.pki = pki
        self.mutual = raw(answering(answer), pki.backend, clients=pki.internal.file)
        self.plain = raw(answering(OK))
        self.routes = ROUTES.format(mutual=self.mutual.port, plain=self.plain.port)
        self.edge = edge(self.routes, engine=engine, **more)

    def told(self) -> dict[str, Any]:
        found: dict[str, Any] = self.edge.admin("status")["supervisor"]["keyholder"]
        return found

    def get(self, name: str = "a.test", highest: ssl.TLSVersion | None = None) -> int:
        with tls(self.edge.port, name, self.pki.public.file, kept=False, highest=highest) as sock:
            return exchange(sock, CLOSE.format(name)).status

    def is_back(self, restarts: int) -> bool:
        return bool(self.told()["restarts"] == restarts)

    def engine(self) -> int:
        return until(self.only)

    def only(self) -> int | None:
        """Its engine, once those before have left."""
        found = [it for it in children(self.edge.edge.process.pid) if it != self.told()["pid"]]
        return found[0] if len(found) == 1 else None


@pytest.fixture
def ground(edge: Edges, raw: Raws, pki: Pki) -> Ground:
    return Ground(edge, raw, pki)


def test_handshakes_of_both_sides_are_signed_by_the_holder_of_the_keys(ground: Ground) -> None:
    for version in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
        assert ground.get("a.test", version) == 200 == ground.get("c.test", version)
    until(lambda: ground.told()["signed"] >= 5)
    told = ground.told()
    assert told["keys"] == 2 and told["refused"] == {} and told["restarts"] == 0
    shown = ground.edge.cli("status", "--config", str(ground.edge.config)).stdout
    assert f"keys apart: 2 held by pid {told['pid']}" in shown


def test_a_backend_of_tls_1_2_is_shown_a_certificate_by_a_key_that_is_apart(edge: Edges, raw: Raws, pki: Pki) -> None:
    ground = Ground(edge, raw, pki)
    assert ground.mutual.context is not None
    ground.mutual.context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert ground.get("c.test") == 200
    line = ground.edge.line(lambda it: it["route"] == "mutual")
    assert line["backend_hop"]["version"] == "1.2" and line["backend_hop"]["identity"] == "demanded", line


@pytest.mark.parametrize("kind", ["rsa", "ec"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2])
def test_keys_of_each_kind_sign(edge: Edges, raw: Raws, pki: Pki, kind: str, version: ssl.TLSVersion) -> None:
    leaf = pki.public.leaf(f"apart-{kind}", "kind.test", kind=kind)
    plain = raw(answering(OK))
    it = edge(
        f'[[route]]\nname = "r"\nhost = "kind.test"\ntls = "plaintext"\nto = ["127.0.0.1:{plain.port}"]\n',
        engine='keys = "apart"',
        site=None,
        more=f'[[site]]\nname = "s"\nhosts = ["kind.test"]\ncerts = [{{ chain = "{leaf.chain}", key = "file:{leaf.key}" }}]\n',
    )
    with tls(it.port, "kind.test", pki.public.file, kept=False, highest=version) as sock:
        assert exchange(sock, CLOSE.format("kind.test")).status == 200
        assert sock.version() == ("TLSv1.3" if version == ssl.TLSVersion.TLSv1_3 else "TLSv1.2")


class Clients:
    """They come one after the other, and say what went wrong."""

    def __init__(self, ground: Ground) -> None:
        self.ground, self.ending = ground, threading.Event()
        self.served, self.wrong = 0, list[str]()
        self.threads = [threading.Thread(target=self.come, args=(name,)) for name in ("a.test", "c.test")]
        for it in self.threads:
            it.start()

    def come(self, name: str) -> None:
        while not self.ending.is_set():
            try:
                status = self.ground.get(name)
            except OSError as e:
                self.wrong.append(f"{name}: {e!r}")
            else:
                self.served += 1
                if status != 200:
                    self.wrong.append(f"{name}: {status}")

    def after(self, count: int) -> None:
        """Returns once so many more were served."""
        wanted = self.served + count
        until(lambda: self.served >= wanted or self.wrong)

    def close(self) -> None:
        self.ending.set()
        for it in self.threads:
            it.join(30)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_holder_that_dies_is_back_and_no_handshake_is_lost(edge: Edges, raw: Raws, pki: Pki, threads: int) -> None:
    ground = Ground(edge, raw, pki, threads=threads)
    with closing(Clients(ground)) as clients:
        for n in range(3):
            clients.after(10)
            os.kill(ground.told()["pid"], signal.SIGKILL)
            until(partial(ground.is_back, n + 1))
            clients.after(10)
    assert clients.wrong == []


def test_a_holder_that_hangs_is_followed_by_another_and_open_connections_go_on_meanwhile(ground: Ground) -> None:
    with tls(ground.edge.port, "a.test", ground.pki.public.file) as sock:
        assert exchange(sock, KEEP.format("a.test")).status == 200
        first = ground.told()["pid"]
        halt(first)
        assert exchange(sock, KEEP.format("a.test")).status == 200
        until(lambda: ground.told()["pid"] != first)
        assert exchange(sock, KEEP.format("a.test")).status == 200
    assert ground.get("a.test") == 200 == ground.get("c.test")
    assert "it does not answer" in ground.edge.edge.wait_for("the keyholder is gone")


def test_where_nobody_signs_a_handshake_ends_by_its_own_name_and_no_key_goes_to_the_engine(ground: Ground) -> None:
    """The supervisor is stopped as well, which would bring another."""
    assert ground.get("a.test") == 200
    holder, supervisor = ground.told()["pid"], ground.edge.edge.process.pid
    halt(supervisor)
    halt(holder)
    try:
        with pytest.raises(OSError):
            ground.get("a.test")
    finally:
        os.kill(holder, signal.SIGCONT)
        os.kill(supervisor, signal.SIGCONT)
    ground.edge.line(lambda it: it["end"] == "handshake/unsigned")
    until(lambda: ground.get("a.test") == 200)


def test_a_backend_is_not_blamed_for_a_key_that_signed_nothing(edge: Edges, raw: Raws, pki: Pki) -> None:
    """More often than it takes to eject one; the connection of the client was there before."""
    ground = Ground(edge, raw, pki, answer=OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert ground.mutual.context is not None
    # A session that is taken up needs no signature.
    ground.mutual.context.num_tickets = 0
    holder, supervisor = ground.told()["pid"], ground.edge.edge.process.pid
    with tls(ground.edge.port, "c.test", pki.public.file) as sock:
        assert exchange(sock, KEEP.format("c.test")).status == 200
        halt(supervisor)
        halt(holder)
        try:
            assert [exchange(sock, KEEP.format("c.test")).status for _ in range(5)] == [503] * 5
        finally:
            os.kill(holder, signal.SIGCONT)
            os.kill(supervisor, signal.SIGCONT)
        line = ground.edge.line(lambda it: it["end"] == "hop/unsigned")
        assert line["route"] == "mutual"
        (backend,) = next(it for it in ground.edge.status()["routes"] if it["name"] == "mutual")["backends"]
        assert (backend["state"], backend["failures"]) == ("up", 0)
        until(lambda: exchange(sock, KEEP.format("c.test")).status == 200)


def test_a_certificate_that_is_renewed_is_shown_with_its_key_held_and_nobody_notices(
    edge: Edges, raw: Raws, pki: Pki, tmp_path: Path
) -> None:
    ground = Ground(edge, raw, pki)
    text = ground.edge.config.read_text()
    mine = Leaf(tmp_path / "edge.pem", tmp_path / "edge.key")
    hosts = ("a.test", "b.test", "c.test", "*.w.test")

    def renew(n: int) -> bytes:
        leaf = pki.public.leaf(f"apart-renewed-{n}", *hosts)
        put(mine.key, leaf.key.read_bytes(), 0o600)
        put(mine.chain, leaf.chain.read_bytes(), 0o644)
        return x509.load_pem_x509_certificate(leaf.chain.read_bytes()).public_bytes(Encoding.DER)

    def shown() -> bytes | None:
        with tls(ground.edge.port, "a.test", pki.public.file, kept=False) as sock:
            return sock.getpeercert(binary_form=True)

    first = renew(0)
    ground.edge.config.write_text(text.replace(f"{pki.folder}/edge.", f"{tmp_path}/edge."))
    with closing(Clients(ground)) as clients:
        assert ground.edge.admin("reload")["reloaded"]
        assert shown() == first
        second = renew(1)
        until(lambda: shown() == second)
        clients.after(10)
        ground.edge.config.write_text(text)
        assert ground.edge.admin("reload")["reloaded"]
        clients.after(10)
    assert clients.wrong == []


def test_a_supervisor_that_is_gone_takes_no_key_away_and_the_next_one_holds_them_anew(ground: Ground) -> None:
    before = ground.told()["pid"]
    ground.edge.edge.process.kill()
    ground.edge.edge.process.wait(10)
    assert ground.get("a.test") == 200 == ground.get("c.test")
    ground.edge.edge = type(ground.edge.edge)(ground.edge.config)
    ground.edge.edge.wait_for("ready:", 60)
    assert ground.get("a.test") == 200 == ground.get("c.test")
    assert ground.told()["pid"] != before
    assert not any("had private keys" in line for line in ground.edge.edge.said)
    until(lambda: not Path(f"/proc/{before}").exists() or "zombie" in Path(f"/proc/{before}/status").read_text())


def test_an_upgrade_and_an_engine_that_dies_have_their_handshakes_signed(ground: Ground) -> None:
    with closing(Clients(ground)) as clients:
        clients.after(5)
        assert ground.edge.admin("upgrade")["upgraded"]
        clients.after(5)
    assert clients.wrong == []
    os.kill(ground.engine(), signal.SIGKILL)
    until(lambda: ground.edge.admin("status")["supervisor"]["engine_restarts"] == 1)
    until(lambda: ground.get("a.test") == 200)
    assert ground.get("c.test") == 200


def test_keys_come_into_the_engine_and_out_of_it_by_a_reload(edge: Edges, raw: Raws, pki: Pki) -> None:
    ground = Ground(edge, raw, pki, engine='keys = "engine"')
    assert ground.told() is None and ground.get("c.test") == 200
    text = ground.edge.config.read_text()
    for keys, held in (("apart", True), ("engine", False), ("apart", True)):
        ground.edge.config.write_text(text.replace('keys = "engine"', f'keys = "{keys}"'))
        assert ground.edge.admin("reload")["reloaded"]
        assert (ground.told() is not None) == held
        assert ground.get("a.test") == 200 == ground.get("c.test")


@pytest.mark.skipif(not ROOT, reason="nobody else may look into a process that is not to be dumped")
def test_no_key_is_in_the_memory_of_an_engine_whose_keys_are_apart(edge: Edges, raw: Raws, pki: Pki) -> None:
    apart, together = Ground(edge, raw, pki), Ground(edge, raw, pki, engine='keys = "engine"')
    for it in (apart, together):
        assert it.get("a.test") == 200 == it.get("c.test")
    pid = {"apart": apart.engine(), "holder": apart.told()["pid"]}
    (pid["together"],) = children(together.edge.edge.process.pid)
    for key in (pki.site.key, pki.identity.key):
        found = {name: holds(one, key) for name, one in pid.items()}
        assert found == {"apart": False, "holder": True, "together": True}, key
    # What is said of it is what was found.
    for it, name in ((apart, "keyholder"), (together, "engine")):
        told = {key["at"] for route in it.edge.explained() for key in route["keys"]}
        assert told == {name}


@pytest.mark.skipif(not ROOT, reason="nobody else may look into a process that is not to be dumped")
@pytest.mark.parametrize("keys", ["apart", "engine"])
def test_a_key_of_our_environment_is_in_that_of_no_other_process(
    edge: Edges, raw: Raws, pki: Pki, monkeypatch: pytest.MonkeyPatch, keys: str
) -> None:
    leaf = pki.public.leaf("apart-env", "env.test")
    monkeypatch.setenv("SITE_KEY", leaf.key.read_text())
    plain = raw(answering(OK))
    it = edge(
        f'[[route]]\nname = "r"\nhost = "env.test"\ntls = "plaintext"\nto = ["127.0.0.1:{plain.port}"]\n',
        engine=f'keys = "{keys}"',
        site=None,
        more=f'[[site]]\nname = "s"\nhosts = ["env.test"]\ncerts = [{{ chain = "{leaf.chain}", key = "env:SITE_KEY" }}]\n',
    )
    with tls(it.port, "env.test", pki.public.file, kept=False) as sock:
        assert exchange(sock, CLOSE.format("env.test")).status == 200
    supervisor = it.edge.process.pid
    assert len(children(supervisor)) == (2 if keys == "apart" else 1)
    assert {pid: b"SITE_KEY" in environ(pid) for pid in children(supervisor)} == dict.fromkeys(
        children(supervisor), False
    )


def environ(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


@pytest.mark.skipif(not ROOT, reason="nobody else may look into a process that is not to be dumped")
@pytest.mark.parametrize("by", ["a reload", "the next supervisor"])
def test_an_engine_that_had_keys_is_told_of_and_one_that_follows_it_never_had_any(
    by: str, edge: Edges, raw: Raws, pki: Pki
) -> None:
    ground = Ground(edge, raw, pki, engine='keys = "engine"')
    assert ground.get("a.test") == 200 == ground.get("c.test")
    (engine,) = children(ground.edge.edge.process.pid)
    assert all(holds(engine, it.key) for it in (pki.site, pki.identity))
    text = ground.edge.config.read_text()
    ground.edge.config.write_text(text.replace('keys = "engine"', 'keys = "apart"'))
    if by == "a reload":
        assert ground.edge.admin("reload")["reloaded"]
    else:
        ground.edge.edge.process.kill()
        ground.edge.edge.process.wait(10)
        ground.edge.edge = type(ground.edge.edge)(ground.edge.config)
        ground.edge.edge.wait_for("ready:", 60)
    assert ground.get("a.test") == 200 == ground.get("c.test")
    assert f"engine {engine} had private keys in its memory" in ground.edge.edge.wait_for("everyhop upgrade")
    assert ground.edge.admin("upgrade")["upgraded"]
    assert ground.get("a.test") == 200 == ground.get("c.test")
    until(lambda: ground.only() not in {None, engine})
    assert not any(holds(ground.engine(), it.key) for it in (pki.site, pki.identity))


def holds(pid: int, path: Path) -> bool:
    """Whether the secret number of a key is anywhere in the memory of a process, in either order of its bytes."""
    key = load_pem_private_key(path.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    secret = key.private_numbers().private_value.to_bytes(32, "big")
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            begin, _, end = line.split()[0].partition("-")
            if not line.split()[1].startswith("r") or "[v" in line:
                continue
            try:
                memory.seek(int(begin, 16))
                data = memory.read(int(end, 16) - int(begin, 16))
            except OSError:
                continue
            if secret in data or secret[::-1] in data:
                return True
    return False


def test_the_holder_has_no_network_and_no_file_and_the_engine_cannot_look_into_it(ground: Ground) -> None:
    """K03."""
    assert ground.get("a.test") == 200
    pid, engine = ground.told()["pid"], ground.engine()
    for task in tasks(pid):
        assert task["NoNewPrivs"] == "1" and task["Seccomp"] == "2" and task["CapEff"] == "0" * 16
    inodes = {it.removeprefix("socket:[").removesuffix("]") for it in open_files(pid) if it.startswith("socket:")}
    assert inodes and all(it.startswith("socket:") or it == "/dev/null" for it in open_files(pid)[3:]), open_files(pid)
    for table in ("tcp", "tcp6", "udp", "udp6", "raw"):
        rows = Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
        assert not inodes & {row.split()[9] for row in rows}, table
    uid = int(tasks(engine)[0]["Uid"].split()[0])
    assert not is_readable(pid, uid)
    if ROOT:
        assert int(tasks(pid)[0]["Uid"].split()[0]) != uid


# A taken engine, and what it gets: the holder itself, with one of its lines in the hands of the test.


@pytest.fixture
def taken(pki: Pki) -> Iterator[Taken]:
    with closing(Taken(pki)) as it:
        yield it


class Taken:
    """Holds a line as an engine would: to the key of a site, and to that of an identity."""

    def __init__(self, pki: Pki) -> None:
        self.site, self.identity = (load_pem_private_key(it.key.read_bytes(), None) for it in (pki.site, pki.identity))
        it = Keyholding("enforce" if ROOT else "best-effort")
        it.coming = {
            ("site", "server"): pki.site.key.read_text(),
            ("identity", "client"): pki.identity.key.read_text(),
        }
        it.hold()
        assert it.running is not None
        self.holding, self.holder = it, it.running
        self.line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.line.settimeout(10)
        with theirs:
            self.holder.control.must(h.Lines(), h.Held, [theirs.fileno()])
        self.number = 0

    def asks(self, key: Any, scheme: int, kind: int, parts: bytes) -> bytes | int:
        """The signature, or the number of the reason why there is none."""
        self.number += 1
        spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        head = self.number.to_bytes(8, "big") + hashlib.sha256(spki).digest() + scheme.to_bytes(2, "big")
        return self.sends(head + bytes([kind]) + parts)

    def sends(self, message: bytes) -> bytes | int:
        self.line.send(message)
        answer = self.line.recv(4096)
        assert int.from_bytes(answer[:8], "big") == self.number
        return answer[9:] if answer[8] == 0 else answer[8]

    def counts(self) -> h.Counts:
        return self.holder.control.must(h.Counted(), h.Counts)

    def close(self) -> None:
        self.line.close()
        self.holding.end()


P256 = 0x0403
NO_HANDSHAKE, NO_KEY, NO_SCHEME = 2, 3, 4


def test_a_taken_engine_gets_a_handshake_of_its_site_signed_and_nothing_else(taken: Taken) -> None:
    """K03: what an ask is of is put together by the holder."""
    site, identity, digest = taken.site, taken.identity, bytes(range(32))
    signature = taken.asks(site, P256, 1, digest)
    assert isinstance(signature, bytes) and isinstance(site, ec.EllipticCurvePrivateKey)
    words = b" " * 64 + b"TLS 1.3, server CertificateVerify\0" + digest
    site.public_key().verify(signature, words, ec.ECDSA(hashes.SHA256()))
    with pytest.raises(InvalidSignature):
        site.public_key().verify(signature, digest, ec.ECDSA(hashes.SHA256()))
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(site, hashes.SHA256())
    token = b"eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhZG1pbiJ9"
    for anything in (request.tbs_certrequest_bytes, token, b"", b"x" * 33, words, b"SSH-2.0-x", bytes(range(64)) * 2):
        for kind in range(256):
            assert taken.asks(site, P256, kind, anything) == NO_HANDSHAKE, (kind, anything)
    assert taken.asks(identity, P256, 1, digest) == NO_KEY, "an identity is shown to backends, and is no site"
    assert taken.asks(site, P256, 2, digest) == NO_KEY, "a site's is shown to clients, and to no backend"
    assert isinstance(taken.asks(identity, P256, 2, digest), bytes)
    assert taken.asks(ec.generate_private_key(ec.SECP256R1()), P256, 1, digest) == NO_KEY
    for scheme in (0x0804, 0x0401, 0x0503, 0, 0xFFFF):
        assert taken.asks(site, scheme, 1, digest) == NO_SCHEME
    counts = taken.counts()
    assert sum(it.signed for it in counts.signed) == 2
    assert counts.refused["no-handshake"] == 7 * 256 and counts.refused["no-key"] == 3
    assert counts.refused["no-scheme"] == 5


def test_a_line_takes_no_order_and_gives_no_count(taken: Taken) -> None:
    for order in (b'{"protocol":1,"ask":"counted"}', b'\0\0\0\x1e{"protocol":1,"ask":"counted"}', b"\xff" * 90_000):
        taken.number = int.from_bytes(order[:8], "big")
        assert taken.sends(order) in {1, NO_HANDSHAKE}
    taken.number = 0
    assert isinstance(taken.asks(taken.site, P256, 1, bytes(32)), bytes), "it goes on"


def test_keys_that_are_none_leave_those_that_are_held(taken: Taken) -> None:
    from everyhop.engine.control import EngineRefused

    held = dict(taken.holding.coming)
    taken.holding.coming = {
        **held,
        ("broken", "server"): "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    }
    with pytest.raises(EngineRefused):
        taken.holding.hold()
    assert isinstance(taken.asks(taken.site, P256, 1, bytes(32)), bytes)

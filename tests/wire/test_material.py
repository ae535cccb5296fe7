"""Certificates and keys under a running edge: what it cannot use is told before it is asked to, a mend is noticed, and
names are compared as certificates mean them."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

from everyhop.demo.backends import Backend
from everyhop.demo.certificates import Authority, Leaf, put
from tests.kit import EdgeKit, Pki, exchange, tls
from tests.kit.edge import until
from tests.kit.forge import FETCHED, Signer, forged, of_version_1, root, saved

Edges = Callable[..., EdgeKit]
GET = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"


def route(port: int, more: str = "") -> str:
    return f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n{more}'


@pytest.fixture
def backend() -> Backend:
    return Backend("b")


KEYS: dict[str, Callable[[], CertificateIssuerPrivateKeyTypes]] = {
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "RSA 2048": lambda: rsa.generate_private_key(65537, 2048),
    "secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()),
    "P-224": lambda: ec.generate_private_key(ec.SECP224R1()),
    "Ed448": ed448.Ed448PrivateKey.generate,
    "RSA 1024": lambda: rsa.generate_private_key(65537, 1024),
}


def test_check_reload_and_renewal_judge_a_certificate_alike_and_the_engine_is_never_the_first_to_refuse(
    edge: Edges, backend: Backend, tmp_path: Path
) -> None:
    """What they take is served; what they refuse is told by the same words, and the last good one goes on."""
    authority = Authority(tmp_path, "Own CA")
    by = root(authority)
    good = forged("a.test", by, names=["a.test"])
    saved(tmp_path, "edge", good, by)
    it = edge(route(backend.port))
    text = it.config.read_text().replace(f"{it.pki.folder}/edge.", f"{tmp_path}/edge.")
    it.config.write_text(text.replace(', "b.test", "c.test", "*.w.test"', ""))
    assert it.admin("reload")["reloaded"]
    pairs: dict[str, Signer] = {k: forged("a.test", by, names=["a.test"], key=make()) for k, make in KEYS.items()}
    pairs["version 1"] = of_version_1("a.test", by)
    stapled = x509.TLSFeature([x509.TLSFeatureType.status_request])
    pairs["must-staple"] = forged("a.test", by, names=["a.test"], more=[stapled])
    taken = set()
    for name, pair in pairs.items():
        mark = len(it.edge.said)
        saved(tmp_path, "edge", pair, by)
        checked = it.cli("check", str(it.config), "--json")
        reloaded = it.admin("reload")
        assert (checked.returncode == 0) == reloaded["reloaded"], (name, checked.stdout, reloaded)
        if reloaded["reloaded"]:
            taken.add(name)
        else:
            (found,) = reloaded["findings"]
            assert found["slug"] == "certificate/unusable" and f"{tmp_path}/edge." in found["what"], found
            it.edge.wait_for(
                f"the last good ones stay: site 'edge': {found['what'].partition(': ')[2]}", 20, after=mark
            )
        with tls(it.port, "a.test", authority.file) as sock:
            assert exchange(sock, GET).status == 200
        assert not [line for line in it.edge.said if "refused 'apply'" in line or "engine cannot use" in line]
    assert taken == {"P-384", "P-521", "Ed25519", "RSA 2048"}
    backend.close()


def test_a_renewed_key_whose_mode_alone_is_mended_is_taken(edge: Edges, backend: Backend, tmp_path: Path) -> None:
    """The refusal says chmod; after it nothing of the file has changed but its mode."""
    authority = Authority(tmp_path, "Own CA")
    authority.leaf("edge", "a.test")
    it = edge(route(backend.port))
    text = it.config.read_text().replace(f"{it.pki.folder}/edge.", f"{tmp_path}/edge.")
    it.config.write_text(text.replace(', "b.test", "c.test", "*.w.test"', ""))
    assert it.admin("reload")["reloaded"]
    mark = len(it.edge.said)
    fresh = authority.leaf("fresh", "a.test")
    fresh.key.chmod(0o644)
    fresh.key.replace(tmp_path / "edge.key")
    fresh.chain.replace(tmp_path / "edge.pem")
    it.edge.wait_for(f"chmod 600 {tmp_path}/edge.key", 20, after=mark)
    (tmp_path / "edge.key").chmod(0o600)
    it.edge.wait_for("certificates renewed", 20, after=mark)
    backend.close()


def test_what_clients_will_mind_in_a_renewed_chain_is_told_as_it_is_taken_and_once(
    edge: Edges, backend: Backend, tmp_path: Path
) -> None:
    """As at a start and at a reload: a renewal is when a chain loses its issuer."""
    authority = Authority(tmp_path, "Own CA")
    middle = forged("Middle CA", root(authority), ca=True)

    def renewed(whole: bool) -> None:
        mark = len(it.edge.said)
        leaf = forged("a.test", middle, names=["a.test"], more=[FETCHED])
        saved(tmp_path, "edge", leaf, middle if whole else root(authority))
        it.edge.wait_for("certificates renewed", 20, after=mark)

    authority.leaf("edge", "a.test")
    it = edge(route(backend.port))
    text = it.config.read_text().replace(f"{it.pki.folder}/edge.", f"{tmp_path}/edge.")
    it.config.write_text(text.replace(', "b.test", "c.test", "*.w.test"', ""))
    assert it.admin("reload")["reloaded"]

    def told() -> int:
        return sum("[certificate/chain-incomplete]" in line for line in it.edge.said)

    renewed(whole=True)
    assert told() == 0
    renewed(whole=False)
    assert told() == 1 and any(f"{tmp_path}/edge.pem: the issuer of 'CN=a.test' is missing" in x for x in it.edge.said)
    renewed(whole=False)
    assert told() == 1
    backend.close()


def client(folder: Path, pki: Pki, *names: str) -> Leaf:
    by = root(pki.public)
    return saved(folder, "client", forged("client", by, names=names), by)


@pytest.mark.parametrize(
    ("san", "allowed", "status"),
    [
        ("Alice.Corp.Test", "alice.corp.test", 200),
        ("alice.corp.test", "ALICE.Corp.test", 200),
        ("spiffe://corp.test/Alice", "spiffe://corp.test/Alice", 200),
        ("spiffe://corp.test/Alice", "spiffe://corp.test/alice", 403),
        ("alice.corp.test", "bob.corp.test", 403),
    ],
)
def test_names_of_clients_are_compared_as_their_kind_is(
    edge: Edges, backend: Backend, pki: Pki, tmp_path: Path, san: str, allowed: str, status: int
) -> None:
    """DNS names without case (RFC 5280 7.2), URIs as they stand; the log tells what was compared, `where` agrees."""
    leaf = client(tmp_path, pki, san)
    it = edge(
        route(backend.port, f'allow = {{ clients = ["{allowed}"] }}\n'),
        site='clients = { ca = "{pki}/public-ca.pem" }',
    )
    with tls(it.port, "a.test", pki.public.file, leaf=leaf) as sock:
        assert exchange(sock, GET).status == status
    line = it.line(lambda x: x["status"] == status)
    assert line["client_hop"]["peer"]["names"] == [san if "://" in san else san.lower()], line
    asked = it.admin(
        "where", listener=None, sni="a.test", host="a.test", path="/", method="GET", headers=[], client=[san]
    )
    assert asked["judged"]["status"] == status
    backend.close()


def test_who_connects_and_leaves_without_a_byte_is_counted_apart_and_has_no_line(
    edge: Edges, backend: Backend, pki: Pki
) -> None:
    """As health checks do, every second; who says half of a hello is refused as ever."""
    it = edge(route(backend.port), listener='accept_proxy = ["127.0.0.2/32"]')
    for source in ("127.0.0.1", "127.0.0.2"):
        for how in (leave, reset):
            how(it.port, b"", source)
    leave(it.port, b"PROXY UNKNOWN\r\n", "127.0.0.2")
    until(lambda: it.status()["probes"] == 5)
    assert it.status()["refused"] == {}
    leave(it.port, b"\x16\x03\x01\x02", "127.0.0.1")
    leave(it.port, b"PROX", "127.0.0.2")
    until(
        lambda: it.status()["refused"] == {"hello/incomplete": 1, "proxy/malformed": 1}, told=lambda: str(it.status())
    )
    it.line(lambda x: x["end"] == "hello/incomplete")
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, GET).status == 200
    it.line(lambda x: x["end"] == "done")
    assert sorted(x["end"] for x in it.lines()) == ["done", "hello/incomplete", "proxy/malformed"]
    assert it.status()["probes"] == 5
    backend.close()


def leave(port: int, said: bytes, source: str) -> None:
    with socket.create_connection(("127.0.0.1", port), 20, (source, 0)) as sock:
        sock.sendall(said)


def reset(port: int, said: bytes, source: str) -> None:
    with socket.create_connection(("127.0.0.1", port), 20, (source, 0)) as sock:
        sock.sendall(said)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def test_a_listener_that_may_have_more_than_descriptors_hold_is_told_at_the_start(
    edge: Edges, backend: Backend
) -> None:
    it = edge(route(backend.port), under=["prlimit", "--nofile=1024:1024"])
    assert any("may have 20000 connections and the process has descriptors for 448" in line for line in it.edge.said)
    quiet = edge(route(backend.port), listener="connections = 448", under=["prlimit", "--nofile=1024:1024"])
    assert not any("descriptors for" in line for line in quiet.edge.said)
    backend.close()


def test_a_pipe_in_the_place_of_a_file_holds_nobody_up(edge: Edges, backend: Backend, tmp_path: Path) -> None:
    """A certificate's, its key's, then the configuration's: each is told, the last good ones serve, the next is answered."""
    authority = Authority(tmp_path, "Own CA")
    authority.leaf("edge", "a.test")
    it = edge(route(backend.port))
    text = it.config.read_text().replace(f"{it.pki.folder}/edge.", f"{tmp_path}/edge.")
    it.config.write_text(text.replace(', "b.test", "c.test", "*.w.test"', ""))
    assert it.admin("reload")["reloaded"]
    for path in (tmp_path / "edge.pem", tmp_path / "edge.key", it.config):
        good, mark = path.read_bytes(), len(it.edge.said)
        path.unlink()
        os.mkfifo(path)
        if path != it.config:
            it.edge.wait_for(f"the last good ones stay: site 'edge': {path}: it is a pipe and no file", 20, after=mark)
            answer = it.admin("reload")
            assert "it is a pipe" in str(answer["findings"]), answer
        else:
            it.edge.process.send_signal(signal.SIGHUP)
            it.edge.wait_for(f"reload failed: cannot read {path}: it is a pipe and no file", 20, after=mark)
        with tls(it.port, "a.test", authority.file) as sock:
            assert exchange(sock, GET).status == 200
        put(path, good, 0o600)
        assert it.admin("reload")["reloaded"]
    backend.close()

"""Certificates as people have them, on both hops: each kind of key, and chains that hold more than the way to a root, or not in
its order (RFC 8446 §4.4.2). F07."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from everyhop.demo.certificates import Leaf, put
from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.forge import Signer, forged, root
from tests.kit.raw import answering

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]


def longest() -> CertificateIssuerPrivateKeyTypes:
    """The longest key of RSA that is taken. It takes a minute to make, and serves these tests alone."""
    pem = (Path(__file__).parents[1] / "kit" / "rsa-8192.key").read_bytes()
    key = load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(key, rsa.RSAPrivateKey) and key.key_size == 8192
    return key


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
KEYS: dict[str, Callable[[], CertificateIssuerPrivateKeyTypes]] = {
    "rsa-2048": lambda: rsa.generate_private_key(65537, 2048),
    "rsa-4096": lambda: rsa.generate_private_key(65537, 4096),
    "rsa-8192": longest,
    "p-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "p-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}
PAIR = """
[[site]]
name = "{name}"
hosts = ["{name}.k.test"]
certs = [{{ chain = "{folder}/{name}.pem", key = "file:{folder}/{name}.key" }}]
[[route]]
name = "{name}"
host = "{name}.k.test"
tls = "reencrypt"
to = ["127.0.0.1:{port}"]
verify = {{ ca = "{ca}", name = "{name}.k.test" }}
"""


def saved(folder: Path, name: str, key: CertificateIssuerPrivateKeyTypes, chain: list[x509.Certificate]) -> Leaf:
    files = Leaf(folder / f"{name}.pem", folder / f"{name}.key")
    put(files.chain, b"".join(it.public_bytes(Encoding.PEM) for it in chain), 0o644)
    put(files.key, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
    return files


def serve_all(edge: Edges, raw: Raws, pki: Pki, leaves: dict[str, Leaf], folder: Path) -> EdgeKit:
    """Each leaf is a site's and its backend's too: clients and the edge both take it, or the request fails."""
    routes = ""
    for name, leaf in leaves.items():
        backend = raw(answering(OK), leaf)
        routes += PAIR.format(name=name, folder=folder, port=backend.port, ca=pki.public.file)
    it = edge(routes, site=None)
    for name in leaves:
        with tls(it.port, f"{name}.k.test", pki.public.file, alpn=["http/1.1"]) as sock:
            assert exchange(sock, f"GET / HTTP/1.1\r\nHost: {name}.k.test\r\n\r\n").status == 200, name
    return it


def test_each_kind_of_key_serves_clients_and_is_believed_of_backends(
    edge: Edges, raw: Raws, pki: Pki, tmp_path: Path
) -> None:
    """F07."""
    leaves = {}
    for name, make in KEYS.items():
        it = forged(name, root(pki.public), names=[f"{name}.k.test"], key=make())
        leaves[name] = saved(tmp_path, name, it.key, [it.cert])
    serve_all(edge, raw, pki, leaves, tmp_path)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_the_longest_key_of_rsa_proves_a_client_and_signs_as_an_authority(
    edge: Edges, raw: Raws, pki: Pki, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    """F07."""
    authority = forged("Long CA", root(pki.public), ca=True, key=longest())
    (tmp_path / "long.pem").write_bytes(authority.cert.public_bytes(Encoding.PEM))
    client = forged("long", authority, names=["client.test"], key=longest())
    leaf = saved(tmp_path, "client", client.key, [client.cert])
    demand = f'clients = {{ ca = "{tmp_path}/long.pem", mode = "require" }}'
    backend = raw(answering(OK))
    route = f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{backend.port}"]\n'
    it = edge(route, site=demand)
    with tls(it.port, "a.test", pki.public.file, alpn=["http/1.1"], leaf=leaf, highest=version) as sock:
        assert exchange(sock, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").status == 200
    assert it.line(lambda line: line["status"] == 200)["client_hop"]["peer"]["names"] == ["client.test"]


def test_a_chain_that_holds_more_than_the_way_or_in_another_order_is_taken_on_both_sides(
    edge: Edges, raw: Raws, pki: Pki, tmp_path: Path
) -> None:
    """F07: twice the leaf or an issuer, the root, a stranger, issuers the wrong way round, and one certified by two roots."""
    top = root(pki.public)
    middle = forged("Middle CA", top, ca=True)
    lower = forged("Lower CA", middle, ca=True)
    stranger = forged("Other CA", top, ca=True)
    again = forged("Middle CA", root(pki.internal), ca=True, key=middle.key)
    orders: dict[str, tuple[Signer, ...]] = {
        "leaf-twice": (lower, middle),
        "issuer-twice": (lower, lower, middle, middle),
        "with-root": (lower, middle, top),
        "stranger": (stranger, lower, middle),
        "reversed": (middle, lower),
        # OpenSSL takes the first that fits, and does not look for another way from there.
        "two-roots": (lower, middle, again),
    }
    leaves = {}
    for name, chain in orders.items():
        it = forged(name, lower, names=[f"{name}.k.test"])
        twice = [it.cert] if name == "leaf-twice" else []
        leaves[name] = saved(tmp_path, name, it.key, [it.cert, *twice, *(c.cert for c in chain)])
    kit = serve_all(edge, raw, pki, leaves, tmp_path)
    checked = kit.cli("check", str(kit.config))
    assert checked.returncode == 0, checked.stderr
    for name in ("leaf-twice", "issuer-twice", "stranger", "reversed"):
        assert f"site '{name}'" in checked.stderr and "certificate/chain-untidy" in checked.stderr, name
    assert "site 'two-roots'" not in checked.stderr


def test_a_missing_issuer_is_told_before_clients_find_out(edge: Edges, pki: Pki, tmp_path: Path) -> None:
    """F07."""
    middle = forged("Missing CA", root(pki.public), ca=True)
    it = forged("bare", middle, names=["bare.k.test"])
    saved(tmp_path, "bare", it.key, [it.cert])
    (tmp_path / "known.pem").write_bytes(middle.cert.public_bytes(Encoding.PEM))
    text = PAIR.format(name="bare", folder=tmp_path, port=1, ca=tmp_path / "known.pem")
    kit = edge(text, site=None)
    checked = kit.cli("check", str(kit.config))
    assert checked.returncode == 0 and "certificate/chain-incomplete" in checked.stderr
    try:
        tls(kit.port, "bare.k.test", pki.public.file)
    except ssl.SSLCertVerificationError as e:
        assert "unable to get local issuer" in str(e)
    else:
        raise AssertionError("a client took a chain without its issuer")

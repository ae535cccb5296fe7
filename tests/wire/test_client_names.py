"""By what an allow-list knows a client: its names of three kinds, each only as itself, and its certificate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from everyhop.demo.backends import Backend
from everyhop.demo.certificates import Leaf, put
from tests.kit import EdgeKit, Pki, exchange, tls
from tests.kit.forge import forged, root

Edges = Callable[..., EdgeKit]

GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
ROUTE = """
[[route]]
name = "api"
host = "a.test"
tls = "plaintext"
to = ["127.0.0.1:{port}"]
allow = {{ clients = ["{allowed}"] }}
"""
DEMAND = 'clients = { ca = "{pki}/public-ca.pem" }'


def client(folder: Path, pki: Pki, *names: x509.GeneralName) -> tuple[Leaf, str]:
    """A client with these names, and the SHA-256 of its certificate."""
    it = forged("somebody", root(pki.public), names=names)
    files = Leaf(folder / "client.pem", folder / "client.key")
    put(files.chain, it.cert.public_bytes(Encoding.PEM), 0o644)
    put(files.key, it.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
    return files, it.cert.fingerprint(hashes.SHA256()).hex()


def status(it: EdgeKit, pki: Pki, leaf: Leaf) -> int:
    with tls(it.port, "a.test", pki.public.file, leaf=leaf) as sock:
        return exchange(sock, GET).status


@pytest.mark.parametrize("allowed", ["Ann.B@CORP.test", "sha256:{upper}", "sha256:{colons}"])
def test_an_email_address_and_the_certificate_itself_let_a_client_pass(
    edge: Edges, pki: Pki, tmp_path: Path, allowed: str
) -> None:
    leaf, print_ = client(tmp_path, pki, x509.RFC822Name("Ann.B@corp.Test"))
    colons = ":".join(print_[i : i + 2] for i in range(0, 64, 2))
    backend = Backend("plain")
    it = edge(ROUTE.format(port=backend.port, allowed=allowed.format(upper=print_.upper(), colons=colons)), site=DEMAND)
    assert status(it, pki, leaf) == 200
    peer = it.line(lambda line: line["status"] == 200)["client_hop"]["peer"]
    assert (peer["names"], peer["sha256"]) == (["Ann.B@corp.test"], print_)
    assert status(it, pki, pki.client) == 403
    backend.close()


@pytest.mark.parametrize(
    ("written", "allowed"),
    [
        (x509.UniformResourceIdentifier("client.test"), "client.test"),
        (x509.UniformResourceIdentifier("ann@corp.test"), "ann@corp.test"),
        (x509.UniformResourceIdentifier("sha256:" + "ab" * 32), "sha256:" + "ab" * 32),
        (x509.UniformResourceIdentifier("SHA256:" + "ab" * 32), "sha256:" + "ab" * 32),
        (x509.RFC822Name("ann@corp.test"), "Ann@corp.test"),
    ],
)
def test_a_name_of_one_kind_never_passes_for_one_of_another(
    edge: Edges, pki: Pki, tmp_path: Path, written: x509.GeneralName, allowed: str
) -> None:
    """T17."""
    leaf, _ = client(tmp_path, pki, written)
    backend = Backend("plain")
    it = edge(ROUTE.format(port=backend.port, allowed=allowed), site=DEMAND)
    assert status(it, pki, leaf) == 403
    assert backend.seen == []
    line = it.line(lambda line: line["end"] == "request/client-not-allowed")
    assert line["client_hop"]["peer"]["names"] == (["ann@corp.test"] if isinstance(written, x509.RFC822Name) else [])
    backend.close()

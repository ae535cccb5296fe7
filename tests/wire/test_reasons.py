"""Why a handshake came to nothing is told as what it was: of a client's certificate, with whose it is; of a backend's TLS, with
what we offer it."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from everyhop.demo.certificates import Leaf, put
from everyhop.demo.stage import free_port
from everyhop.identity import sha256
from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.forge import HOUR, Signer, alone, crl, forged, longer_than_taken, new_key, root, saved
from tests.kit.raw import OK, answering

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
PLAIN = '[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:1"]\n'


def knock(it: EdgeKit, pki: Pki, leaf: Leaf) -> None:
    """A client that shows `leaf`, and is sent away."""
    context = ssl.create_default_context(cafile=str(pki.public.file))
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.load_cert_chain(leaf.chain, leaf.key)
    with contextlib.suppress(OSError):
        sock = socket.create_connection(("127.0.0.1", it.port), 10)
        with context.wrap_socket(sock, server_hostname="a.test") as spoken:
            spoken.sendall(GET.encode())
            assert spoken.recv(100) == b""


def of_old_form(folder: Path, by: Signer) -> Leaf:
    """X.509 v1, as `openssl x509 -req` makes it of a request without an extension file."""
    it, ca, signer = Leaf(folder / "v1.pem", folder / "v1.key"), folder / "ca.pem", folder / "ca.key"
    put(ca, by.cert.public_bytes(Encoding.PEM), 0o644)
    put(signer, by.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
    key = ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", str(it.key)]
    subprocess.run(key, check=True, capture_output=True)
    ask = ["openssl", "req", "-new", "-key", str(it.key), "-subj", "/CN=c.test"]
    request = subprocess.run(ask, check=True, capture_output=True).stdout
    sign = ["openssl", "x509", "-req", "-CA", str(ca), "-CAkey", str(signer), "-CAcreateserial", "-days", "9"]
    subprocess.run([*sign, "-out", str(it.chain)], input=request, check=True, capture_output=True)
    assert x509.load_pem_x509_certificate(it.chain.read_bytes()).version is x509.Version.v1
    return it


MADE: dict[str, Callable[[Signer], Signer]] = {
    "handshake/client-certificate-expired": lambda by: forged("c.test", by, begins=-48 * HOUR, ends=-HOUR),
    "handshake/client-certificate-wrong-use": lambda by: forged(
        "c.test", by, usages=(ExtendedKeyUsageOID.SERVER_AUTH,)
    ),
    "handshake/client-certificate-weak-key": lambda by: forged("c.test", by, key=rsa.generate_private_key(65537, 1024)),
    "handshake/client-certificate-weak-key, too long": lambda by: forged("c.test", by, key=longer_than_taken()),
    "handshake/client-certificate-untrusted": lambda by: forged("c.test", alone("Stranger", ca=True)),
}


def told(it: EdgeKit, slug: str, leaf: Leaf, issuer: str) -> None:
    line = it.line(lambda x: x["end"] == slug)
    assert line["client_hop"]["peer"] is None
    refused = line["client_hop"]["refused"]
    cert = x509.load_pem_x509_certificate(leaf.chain.read_bytes())
    shown = refused["certificate"]
    assert (shown["subject"], shown["issuer"]) == ("CN=c.test", f"CN={issuer}")
    assert shown["not_after"] == f"{cert.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}"
    assert shown["sha256"] == sha256(cert.public_bytes(Encoding.DER))
    assert refused["detail"]
    assert it.status()["handshakes"]["failed"][slug] == 1


@pytest.mark.parametrize("slug", MADE)
def test_a_clients_certificate_is_refused_for_what_is_wrong_with_it_and_the_line_says_whose_it_is(
    edge: Edges, pki: Pki, tmp_path: Path, slug: str
) -> None:
    by = root(pki.public)
    leaf = saved(tmp_path, "c", MADE[slug](by), by)
    it = edge(PLAIN, site='clients = { ca = "{pki}/public-ca.pem" }')
    knock(it, pki, leaf)
    told(it, slug.partition(",")[0], leaf, "Stranger" if slug.endswith("untrusted") else "Public CA")


def test_so_is_one_in_the_form_that_has_no_names(edge: Edges, pki: Pki, tmp_path: Path) -> None:
    leaf = of_old_form(tmp_path, root(pki.public))
    it = edge(PLAIN, site='clients = { ca = "{pki}/public-ca.pem" }')
    knock(it, pki, leaf)
    told(it, "handshake/client-certificate-old-form", leaf, "Public CA")


@pytest.mark.parametrize(
    ("slug", "begins", "ends"),
    [("handshake/client-certificate-revoked", -HOUR, HOUR), ("handshake/revocation-list-overdue", -2 * HOUR, -HOUR)],
)
def test_a_revoked_client_and_a_list_that_is_overdue_are_told_apart(
    edge: Edges, pki: Pki, tmp_path: Path, slug: str, begins: object, ends: object
) -> None:
    by = root(pki.public)
    mine = forged("c.test", by)
    revoked = [mine.cert] if slug.endswith("revoked") else []
    lists = crl(tmp_path / "list.pem", by, *revoked, begins=begins, ends=ends)  # type: ignore[arg-type]
    leaf = saved(tmp_path, "c", mine, by)
    it = edge(PLAIN, site=f'clients = {{ ca = "{{pki}}/public-ca.pem", crl = "{lists}" }}')
    knock(it, pki, leaf)
    told(it, slug, leaf, "Public CA")


def test_a_client_of_whose_authority_no_list_speaks_is_told_as_that(edge: Edges, pki: Pki, tmp_path: Path) -> None:
    by = root(pki.public)
    below = forged("Below CA", by, ca=True)
    leaf = saved(tmp_path, "c", forged("c.test", below), below)
    lists = crl(tmp_path / "list.pem", by)
    it = edge(PLAIN, site=f'clients = {{ ca = "{{pki}}/public-ca.pem", crl = "{lists}" }}')
    knock(it, pki, leaf)
    told(it, "handshake/revocation-unknown", leaf, "Below CA")


def route(port: int, tls_: str = "reencrypt", more: str = "") -> str:
    verify = 'verify = { ca = "{pki}/internal-ca.pem", name = "backend.internal" }\n'
    return f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "{tls_}"\nto = ["127.0.0.1:{port}"]\n{verify}{more}'


def ask(it: EdgeKit) -> int:
    with tls(it.port, "a.test", it.pki.public.file) as sock:
        return exchange(sock, GET).status


OLD = {
    "TLS 1.1": ("DEFAULT@SECLEVEL=0", ssl.TLSVersion.TLSv1_1),
    "a suite without forward secrecy": ("AES128-GCM-SHA256", ssl.TLSVersion.TLSv1_2),
    "a suite of CBC": ("ECDHE-RSA-AES128-SHA", ssl.TLSVersion.TLSv1_2),
}


@pytest.mark.parametrize("what", OLD)
def test_a_backend_with_which_we_have_nothing_in_common_is_told_with_what_we_offer(
    edge: Edges, raw: Raws, pki: Pki, tmp_path: Path, what: str
) -> None:
    by = root(pki.internal)
    leaf = saved(tmp_path, "b", forged("backend.internal", by, names=["backend.internal"], key=new_key("rsa")), by)
    old = raw(answering(OK), leaf)
    assert old.context is not None
    ciphers, most = OLD[what]
    old.context.set_ciphers(ciphers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.context.minimum_version = ssl.TLSVersion.TLSv1
        old.context.maximum_version = most
    it = edge(route(old.port))
    assert ask(it) == 502
    line = it.line(lambda x: x["end"] == "hop/handshake-failed")
    failed = line["failed_hops"][0]
    said = "TLS 1.2, 1.3; TLS_AES_128_GCM_SHA256"
    assert said in failed["detail"] and "X25519" in failed["detail"], failed
    looked = it.cli("probe", f"127.0.0.1:{old.port}", "--ca", str(pki.internal.file), "--sni", "backend.internal")
    assert looked.returncode == 1
    assert "we offer  TLS 1.2, 1.3; X25519MLKEM768" in looked.stdout, looked.stdout


@contextlib.contextmanager
def renegotiating(pki: Pki) -> Iterator[int]:
    """A backend of TLS 1.2 that asks for a certificate once a request is there, by another handshake, as IIS does."""
    port = free_port()
    leaf = pki.backend
    words = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", str(leaf.chain), "-key", str(leaf.key)]
    words += ["-tls1_2", "-legacy_renegotiation", "-CAfile", str(pki.internal.file)]
    it = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert it.stdin is not None and it.stdout is not None
    stdin, stdout = it.stdin, it.stdout

    def asks_anew() -> None:
        for line in iter(stdout.readline, b""):
            if line.startswith(b"GET / "):
                stdin.write(b"R\n")
                stdin.flush()

    assert any(b"ACCEPT" in line for line in iter(stdout.readline, b""))
    thread = threading.Thread(target=asks_anew)
    thread.start()
    try:
        yield port
    finally:
        it.kill()
        it.wait()
        thread.join()
        stdin.close()
        stdout.close()


def test_a_backend_that_asks_by_renegotiating_is_told_as_that(edge: Edges, pki: Pki) -> None:
    with renegotiating(pki) as port:
        it = edge(route(port, "mutual", 'present = "edge"\n'))
        assert ask(it) == 502
        line = it.line(lambda x: x["status"] == 502)
        assert line["end"] == line["failed_hops"][0]["end"] == "hop/renegotiation", line
        assert line["backend_hop"]["version"] == "1.2"

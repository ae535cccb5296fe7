"""Backends that no authority vouches for: one whose own certificate stands among the roots, in both forms that `openssl req
-x509` makes, and one that is pinned. What is not of it is refused, as any other certificate is."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from everyhop.demo.certificates import Leaf
from everyhop.identity import sha256
from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.forge import HOUR, Signer, alone, forged, longer_than_taken, new_key, root, saved
from tests.kit.raw import OK, answering
from tests.kit.settle import settle

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
NAME = "box.test"
FORMS = {
    "an authority": [],
    "no authority": ["-addext", "basicConstraints=critical,CA:FALSE"],
}
VERSIONS = pytest.mark.parametrize("most", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


def made(folder: Path, *more: str, name: str = NAME) -> Leaf:
    """As its vendor or its administrator made it."""
    it = Leaf(folder / "own.pem", folder / "own.key")
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90"]
    words += ["-subj", f"/CN={name}", "-keyout", str(it.key), "-out", str(it.chain)]
    subprocess.run([*words, "-addext", f"subjectAltName=DNS:{name}", *more], check=True, capture_output=True)
    it.key.chmod(0o600)
    return it


def kept(folder: Path, it: Signer) -> Leaf:
    return saved(folder, "own", it, it)


def route(it: Raw, verify: str) -> str:
    to = f'to = ["127.0.0.1:{it.port}"]\nverify = {{ {verify} }}\n'
    return f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "reencrypt"\n{to}'


def status(it: EdgeKit) -> int:
    with tls(it.port, "a.test", it.pki.public.file) as sock:
        return exchange(sock, GET).status


def refused(it: EdgeKit, served: Raw, slug: str) -> dict[str, Any]:
    """The failed hop, of whose request nothing got out."""
    assert status(it) == 502
    settle(it, served)
    line = it.line(lambda x: x["status"] == 502)
    assert line["end"] == slug, line
    failed: dict[str, Any] = line["failed_hops"][-1]
    return failed


def fingerprints(leaf: Leaf) -> dict[str, str]:
    cert = x509.load_pem_x509_certificate(leaf.chain.read_bytes())
    key = cert.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return {"certificate": f"sha256:{sha256(cert.public_bytes(Encoding.DER))}", "key": f"sha256:{sha256(key)}"}


@VERSIONS
@pytest.mark.parametrize("form", FORMS)
def test_a_certificate_that_a_backend_made_for_itself_is_believed_where_it_stands_among_the_roots(
    edge: Edges, raw: Raws, tmp_path: Path, form: str, most: ssl.TLSVersion
) -> None:
    own = made(tmp_path, *FORMS[form])
    served = raw(answering(OK), own)
    assert served.context is not None
    served.context.maximum_version = most
    it = edge(route(served, f'ca = "{own.chain}", name = "{NAME}"'))
    assert status(it) == 200
    hop = it.line(lambda x: x["status"] == 200)["backend_hop"]
    assert hop["peer"]["names"] == [NAME]


@pytest.mark.parametrize("form", FORMS)
def test_another_that_says_the_same_of_itself_is_not(edge: Edges, raw: Raws, tmp_path: Path, form: str) -> None:
    """Same subject, same name, another key: who is in the way could make it."""
    own = made(tmp_path, *FORMS[form])
    (tmp_path / "evil").mkdir()
    impostor = raw(answering(OK), made(tmp_path / "evil", *FORMS[form]))
    it = edge(route(impostor, f'ca = "{own.chain}", name = "{NAME}"'))
    failed = refused(it, impostor, "hop/untrusted")
    assert failed["certificate"]["subject"] == f"CN={NAME}"
    assert impostor.received == b""


def test_an_authority_still_vouches_for_others_and_may_itself_be_shown_for_its_own_name_alone(
    edge: Edges, raw: Raws, pki: Pki, tmp_path: Path
) -> None:
    own = alone(NAME, ca=True)
    roots = kept(tmp_path, own).chain
    signed = raw(answering(OK), saved(tmp_path, "signed", forged("other.test", own, names=["other.test"]), own))
    itself = raw(answering(OK), kept(tmp_path, own))
    it = edge(route(signed, f'ca = "{roots}", name = "other.test"'))
    assert status(it) == 200
    assert it.reload(route(itself, f'ca = "{roots}", name = "other.test"'))["reloaded"]
    refused(it, itself, "hop/name-mismatch")
    assert itself.received == b""


@pytest.mark.parametrize("ca", [True, False])
@pytest.mark.parametrize("pinned", [True, False])
@pytest.mark.parametrize(
    ("more", "slug"),
    [
        ({"begins": -96 * HOUR, "ends": -48 * HOUR}, "hop/certificate-expired"),
        ({"begins": 48 * HOUR}, "hop/certificate-expired"),
        ({"usages": (ExtendedKeyUsageOID.CLIENT_AUTH,)}, "hop/certificate-wrong-use"),
    ],
    ids=["over", "not yet", "for clients"],
)
def test_it_must_be_in_force_and_for_servers_however_it_is_known(
    edge: Edges, raw: Raws, tmp_path: Path, ca: bool, pinned: bool, more: dict[str, Any], slug: str
) -> None:
    good, bad = alone(NAME, ca=True), alone(NAME, ca=ca, **more)
    leaf = kept(tmp_path, bad)
    served = raw(answering(OK), leaf)
    # Beside one that is right, `check` does not know which will be shown.
    roots = tmp_path / "roots.pem"
    roots.write_bytes(good.cert.public_bytes(Encoding.PEM) + bad.cert.public_bytes(Encoding.PEM))
    by = f'pin = "{fingerprints(leaf)["key"]}"' if pinned else f'ca = "{roots}", name = "{NAME}"'
    it = edge(route(served, by))
    refused(it, served, slug)
    assert served.received == b""


@VERSIONS
@pytest.mark.parametrize("what", ["certificate", "key"])
def test_a_pinned_certificate_or_key_is_believed_and_no_other(
    edge: Edges, raw: Raws, pki: Pki, tmp_path: Path, what: str, most: ssl.TLSVersion
) -> None:
    """Whoever signed it, and whatever name it has."""
    for n, leaf in enumerate([pki.backend, made(tmp_path)]):
        served, other = raw(answering(OK), leaf), raw(answering(OK), pki.other)
        for peer in (served, other):
            assert peer.context is not None
            peer.context.maximum_version = most
        pin = fingerprints(leaf)[what]
        it = edge(route(served, f'pin = "{pin}"'))
        assert status(it) == 200, n
        assert it.reload(route(other, f'pin = "{pin}"'))["reloaded"]
        failed = refused(it, other, "hop/pin-mismatch")
        assert failed["certificate"]["names"] == ["other.internal"]
        assert other.received == b""


def test_a_pin_of_the_key_outlives_a_renewal_and_one_of_the_certificate_does_not_unless_the_next_is_pinned_too(
    edge: Edges, raw: Raws, tmp_path: Path
) -> None:
    key = new_key("ec")
    first, second = alone(NAME, key=key), alone(NAME, key=key)
    before = fingerprints(kept(tmp_path, first))
    renewed = kept(tmp_path, second)
    after = fingerprints(renewed)
    assert before["key"] == after["key"] and before["certificate"] != after["certificate"]
    served = raw(answering(OK), renewed)
    it = edge(route(served, f'pin = "{before["key"]}"'))
    assert status(it) == 200
    assert it.reload(route(served, f'pin = "{before["certificate"]}"'))["reloaded"]
    refused(it, served, "hop/pin-mismatch")
    both = f'pin = ["{before["certificate"]}", "{after["certificate"]}"]'
    assert it.reload(route(served, both))["reloaded"]
    assert status(it) == 200


def test_a_name_beside_a_pin_is_asked_for_too(edge: Edges, raw: Raws, pki: Pki) -> None:
    served = raw(answering(OK), pki.backend)
    pin = fingerprints(pki.backend)["certificate"]
    it = edge(route(served, f'pin = "{pin}", name = "backend.internal"'))
    assert status(it) == 200
    assert it.reload(route(served, f'pin = "{pin}", name = "b.test"'))["reloaded"]
    refused(it, served, "hop/name-mismatch")


@VERSIONS
@pytest.mark.parametrize("pinned", [True, False])
@pytest.mark.parametrize(
    ("key", "told"),
    [
        (lambda: rsa.generate_private_key(65537, 1024), "RSA key of 1024 bits, where 2048 are the least"),
        (longer_than_taken, "RSA key of 8676 bits, where 8192 are the most"),
    ],
    ids=["short", "long"],
)
def test_a_key_that_is_too_short_or_too_long_is_told_as_that(
    edge: Edges,
    raw: Raws,
    pki: Pki,
    tmp_path: Path,
    pinned: bool,
    most: ssl.TLSVersion,
    key: Callable[[], rsa.RSAPrivateKey],
    told: str,
) -> None:
    by = root(pki.internal)
    weak = forged(NAME, by, names=[NAME], key=key())
    leaf = saved(tmp_path, "weak", weak, by)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.load_cert_chain(leaf.chain, leaf.key)
    context.maximum_version = most
    served = raw(answering(OK), pki.backend)
    served.context = context
    verify = f'pin = "{fingerprints(leaf)["key"]}"' if pinned else f'ca = "{{pki}}/internal-ca.pem", name = "{NAME}"'
    it = edge(route(served, verify))
    failed = refused(it, served, "hop/weak-key")
    assert told in failed["detail"]
    assert served.received == b""
    how = ["--pin", fingerprints(leaf)["key"]] if pinned else ["--ca", str(pki.internal.file), "--sni", NAME]
    looked = it.cli("probe", f"127.0.0.1:{served.port}", *how)
    assert looked.returncode == 1 and told in looked.stdout, looked.stdout


def test_probe_tells_the_pin_that_the_route_then_takes(edge: Edges, raw: Raws, tmp_path: Path) -> None:
    own = made(tmp_path)
    served = raw(answering(OK), own)
    it = edge(route(served, f'ca = "{own.chain}", name = "{NAME}"'))
    at = f"127.0.0.1:{served.port}"
    looked = it.cli("probe", at)
    assert looked.returncode == 1
    assert "verified  the backend's certificate does not chain" in looked.stdout, looked.stdout
    assert "Other(" not in looked.stdout and "UNIX" not in looked.stdout
    for pin in fingerprints(own).values():
        assert f'verify = {{ pin = "{pin}" }}' in looked.stdout
        assert it.cli("probe", at, "--pin", pin).returncode == 0
        assert it.cli("probe", at, "--pin", pin, "--sni", "b.test").returncode == 1
        assert it.reload(route(served, f'pin = "{pin}"'))["reloaded"]
        assert status(it) == 200
    named = it.cli("probe", at, "--sni", NAME, "--ca", str(own.chain))
    assert named.returncode == 0 and "verified  ok" in named.stdout and "pin it" not in named.stdout

"""A certificate as it is told to a person, and a file of them: what is in it, or why it cannot be shown."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID

from everyhop.demo.certificates import new_key
from everyhop.identity import sha256
from everyhop.identity.described import described, shelf
from tests.kit import Pki
from tests.kit.forge import Signer, forged, root


def pem(*all_of: Signer) -> bytes:
    return b"".join(it.cert.public_bytes(Encoding.PEM) for it in all_of)


def test_a_certificate_is_told_by_whose_it_is_by_whom_until_when_and_by_its_fingerprint(pki: Pki) -> None:
    cert = forged("a.test", root(pki.public), names=["a.test", "10.0.0.1"]).cert
    it = described(cert)
    assert (it.subject, it.issuer, it.names) == ("CN=a.test", "CN=Public CA", ("a.test", "10.0.0.1"))
    assert (it.begins, it.ends) == (cert.not_valid_before_utc, cert.not_valid_after_utc)
    assert (it.serial, it.sha256) == (f"{cert.serial_number:x}", cert.fingerprint(hashes.SHA256()).hex())
    assert it.signed_with == "ecdsa-with-SHA256"


def test_whoever_has_no_name_is_told_to_have_none() -> None:
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    nobody = x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(x509.Name([]))
    dated = nobody.not_valid_before(now).not_valid_after(now + dt.timedelta(hours=1)).serial_number(1)
    it = described(dated.public_key(key.public_key()).sign(key, hashes.SHA256()))
    assert (it.subject, it.issuer) == ("(none)", "(none)")


@pytest.mark.parametrize(
    ("key", "told"),
    [
        (lambda: ec.generate_private_key(ec.SECP384R1()), "EC secp384r1 (384 bit)"),
        (lambda: new_key("rsa"), "RSA 2048 bit"),
        (lambda: dsa.generate_private_key(2048), "DSA 2048 bit"),
        (ed25519.Ed25519PrivateKey.generate, "Ed25519"),
    ],
    ids=["EC", "RSA", "DSA", "Ed25519"],
)
def test_a_key_is_told_by_its_kind_and_its_length(pki: Pki, key: object, told: str) -> None:
    assert described(forged("a.test", root(pki.public), key=key()).cert).key == told  # type: ignore[operator]


def test_a_key_of_a_kind_that_nobody_knows_is_told_as_that(pki: Pki) -> None:
    der = forged("a.test", root(pki.public)).cert.public_bytes(Encoding.DER)
    p256, unknown = bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a8648ce3d03017f")
    assert described(x509.load_der_x509_certificate(der.replace(p256, unknown))).key.startswith("unknown (")


def test_names_that_cannot_be_read_are_none_and_the_rest_is_told(pki: Pki, tmp_path: Path) -> None:
    odd = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"\xff")
    (tmp_path / "odd.pem").write_bytes(pem(forged("a.test", root(pki.public), more=[odd])))
    it = shelf("odd.pem", tmp_path)
    assert it.why_not is None and [(c.subject, c.names) for c in it.certificates] == [("CN=a.test", ())]


def test_a_file_shows_each_of_its_certificates_and_the_digest_of_all(pki: Pki, tmp_path: Path) -> None:
    leaf, above = forged("a.test", root(pki.public)), root(pki.public)
    (tmp_path / "chain.pem").write_bytes(pem(leaf, above))
    it = shelf("chain.pem", tmp_path)
    assert [c.subject for c in it.certificates] == ["CN=a.test", "CN=Public CA"] and it.why_not is None
    ders = b"".join(c.cert.public_bytes(Encoding.DER) for c in (leaf, above))
    assert (it.path, it.sha256, it.count) == (str(tmp_path / "chain.pem"), sha256(ders), 2)


def test_the_roots_of_the_system_are_counted_and_not_listed(
    pki: Pki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "system.pem"
    bundle.write_bytes(b"# one\n" + pem(root(pki.public)) + b"# two\n" + pem(root(pki.internal)))
    monkeypatch.setattr(sys.modules["everyhop.identity.described"], "system_roots", lambda: bundle)
    it = shelf("system", Path("/nowhere"))
    kept = pem(root(pki.public), root(pki.internal))
    assert (it.path, it.certificates, it.sha256, it.count) == (str(bundle), (), sha256(kept), 2)


def test_a_file_that_cannot_be_shown_says_why(tmp_path: Path) -> None:
    (tmp_path / "odd.pem").write_bytes(b"nonsense")
    for label, why in (("gone.pem", "No such file"), ("odd.pem", "it cannot be read: ValueError")):
        it = shelf(label, tmp_path)
        assert it.why_not is not None and why in it.why_not
        assert (it.path, it.certificates, it.sha256, it.count) == (label, (), None, 0)

"""What an authority sends is taken only if it is what was ordered."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from everyhop.acme.judge import kept, ordered
from everyhop.acme.problem import Stopped
from tests.kit import Pki
from tests.kit.forge import FETCHED, Signer, forged, root

NAMES = ("a.test", "*.b.test")
KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def top(pki: Pki) -> Signer:
    return root(pki.public)


@pytest.fixture(scope="module")
def middle(top: Signer) -> Signer:
    return forged("Middle", top, ca=True)


def pem(*chain: Signer) -> bytes:
    return b"".join(it.cert.public_bytes(Encoding.PEM) for it in chain)


def refused(sent: bytes) -> str:
    with pytest.raises(Stopped) as stopped:
        ordered(sent, KEY, NAMES, "Authority")
    assert stopped.value.problem.kind == "spent", "it was issued, and counts"
    return stopped.value.problem.said


def test_what_was_ordered_is_taken(middle: Signer) -> None:
    leaf = forged("leaf", middle, names=NAMES, key=KEY)
    found = ordered(pem(leaf, middle), KEY, NAMES, "Authority")
    assert set(found.names) == set(NAMES) and found.pem == pem(leaf, middle)


def test_what_is_for_another_key_is_not(middle: Signer) -> None:
    assert "it is for another key" in refused(pem(forged("leaf", middle, names=NAMES, key=OTHER), middle))


@pytest.mark.parametrize("names", [("a.test",), (*NAMES, "c.test"), ("*.a.test", "b.test"), (), ("a.test", "10.0.0.1")])
def test_what_is_for_other_names_is_not(names: tuple[str, ...], middle: Signer) -> None:
    assert "not for a.test, *.b.test" in refused(pem(forged("leaf", middle, names=names, key=KEY), middle))


def test_what_demands_a_stapled_answer_is_not(middle: Signer) -> None:
    stapled = x509.TLSFeature([x509.TLSFeatureType.status_request])
    assert "must-staple" in refused(pem(forged("leaf", middle, names=NAMES, key=KEY, more=[stapled]), middle))


def test_what_is_no_server_s_is_not(middle: Signer) -> None:
    leaf = forged("leaf", middle, names=NAMES, key=KEY, usages=[ExtendedKeyUsageOID.CLIENT_AUTH])
    assert "is not for servers" in refused(pem(leaf, middle))


def test_what_another_key_of_the_same_name_signed_is_not(top: Signer, middle: Signer) -> None:
    namesake = forged("Middle", top, ca=True)
    assert "did not sign" in refused(pem(forged("leaf", namesake, names=NAMES, key=KEY), middle))


def test_what_is_not_in_order_is_not(top: Signer, middle: Signer) -> None:
    leaf = forged("leaf", middle, names=NAMES, key=KEY)
    assert "did not sign" in refused(pem(leaf, top, middle))


def test_what_lacks_its_issuer_is_not(middle: Signer) -> None:
    leaf = forged("leaf", middle, names=NAMES, key=KEY, more=[FETCHED])
    assert "its issuer is missing" in refused(pem(leaf))


@pytest.mark.parametrize("sent", [b"", b"\x00\xff", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_not(sent: bytes) -> None:
    assert "cannot be read" in refused(sent)


def test_every_cut_of_what_is_kept_is_nothing_or_all_of_the_leaf(middle: Signer) -> None:
    leaf = forged("leaf", middle, names=NAMES, key=KEY)
    key = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    whole = key + pem(leaf)
    for end in range(0, len(whole) - 1, 7):
        assert kept(whole[:end]) is None
    pair = kept(whole)
    assert pair is not None and pair[0].leaf == leaf.cert


def test_a_key_that_is_not_the_certificate_s_is_nothing(middle: Signer) -> None:
    other = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert kept(other + pem(forged("leaf", middle, names=NAMES, key=KEY))) is None

"""What is said of the certificates that a server shows: of the leaf, and which one is missing above it."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from everyhop.demo.certificates import Authority
from everyhop.grade.shown import key_of, shown, staples
from everyhop.identity import sha256
from tests.kit.forge import FETCHED, Signer, alone, forged, root


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return root(Authority(tmp_path_factory.mktemp("pki"), "Root"))


def der(*those: Signer) -> list[bytes]:
    return [it.cert.public_bytes(Encoding.DER) for it in those]


def test_of_a_chain_the_leaf_is_described(authority: Signer) -> None:
    middle = forged("Middle", authority, ca=True, key=ec.generate_private_key(ec.SECP384R1()))
    leaf = forged("a.test", middle, names=["a.test"])
    for chain in (der(leaf), der(leaf, middle)):
        it = shown(chain, "ok", None, ())
        assert it is not None
        assert (it.subject, it.issuer, it.names) == ("CN=a.test", "CN=Middle", ("a.test",))
        assert (it.key, it.sha256) == ("ECDSA secp256r1", sha256(chain[0]))
        assert (it.begins, it.ends) == (leaf.cert.not_valid_before_utc, leaf.cert.not_valid_after_utc)
        assert (it.verified, it.why, it.lacks, it.must_staple) == ("ok", None, None, False)


def test_the_one_that_is_missing_is_the_issuer_of_the_last_on_the_way_whatever_came_along(authority: Signer) -> None:
    upper = forged("Upper", authority, ca=True, more=[FETCHED])
    middle = forged("Middle", upper, ca=True, more=[FETCHED])
    leaf = forged("a.test", middle, names=["a.test"], more=[FETCHED])
    stranger = forged("Stranger", authority, ca=True)

    def lacks(why: str | None, *chain: Signer) -> str | None:
        it = shown(der(*chain), "no", why, ())
        assert it is not None
        return it.lacks

    assert lacks("hop/untrusted", leaf) == "CN=Middle"
    assert lacks("hop/untrusted", leaf, middle) == "CN=Upper"
    assert lacks("hop/untrusted", leaf, middle, stranger) == "CN=Upper"
    assert lacks("hop/untrusted", leaf, stranger, middle) == "CN=Upper"
    assert lacks("hop/untrusted", leaf, stranger) == "CN=Middle"
    assert lacks("hop/untrusted", leaf, middle, upper, authority) is None
    assert lacks("hop/untrusted", alone("a.test")) is None
    assert lacks("hop/certificate-expired", leaf) is None and lacks(None, leaf) is None


def test_a_key_is_told_by_its_kind_and_its_size(authority: Signer) -> None:
    def of(key: object) -> tuple[str, str]:
        return key_of(forged("a.test", authority, key=key).cert)  # type: ignore[arg-type]

    assert of(rsa.generate_private_key(65537, 2048)) == ("RSA", "2048")
    assert of(ec.generate_private_key(ec.SECP384R1())) == ("ECDSA", "secp384r1")
    assert of(ed25519.Ed25519PrivateKey.generate()) == ("Ed25519", "")
    assert of(ed448.Ed448PrivateKey.generate()) == ("Ed448", "")
    assert of(dsa.generate_private_key(1024)) == ("DSA", "1024")


def test_must_staple_is_read_where_it_can_be(authority: Signer) -> None:
    must = x509.TLSFeature([x509.TLSFeatureType.status_request])
    other = x509.TLSFeature([x509.TLSFeatureType.status_request_v2])
    unreadable = x509.UnrecognizedExtension(x509.TLSFeature.oid, b"\x05\x00")
    unknown = x509.UnrecognizedExtension(x509.TLSFeature.oid, bytes.fromhex("3003020106"))
    for extension, is_said in ((must, True), (other, False), (unreadable, False), (unknown, False)):
        assert staples(forged("a.test", authority, more=[extension]).cert) is is_said


def test_of_a_chain_of_nothing_there_is_nothing_to_tell(tmp_path: Path) -> None:
    assert shown([], "ok", None, ()) is None

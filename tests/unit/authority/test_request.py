"""A request that asks for more than it may (K02) is refused whole and in words; of any other only the key and the names are taken."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from everyhop.authority import Authority
from everyhop.authority.names import named
from everyhop.authority.request import from_file, parsed, weakness
from everyhop.errors import Declined, EveryhopError, Misuse, Surroundings

DAY = dt.timedelta(days=1)
NAME = "a.corp.example"
Own = Callable[..., Authority]


def request(
    *extensions: x509.ExtensionType,
    names: list[x509.GeneralName] | None = None,
    key: CertificateIssuerPrivateKeyTypes | None = None,
) -> x509.CertificateSigningRequest:
    key = key or ec.generate_private_key(ec.SECP256R1())
    it = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, "evil.example"),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Evil"),
            ]
        )
    )
    for one in extensions:
        it = it.add_extension(one, critical=False)
    if names is not None:
        it = it.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return it.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey) else hashes.SHA256())


def asked(it: Authority, csr: x509.CertificateSigningRequest, *names: str, use: str = "both") -> x509.Certificate:
    issued = it.issue([named(n) for n in names], use, DAY, csr)
    return x509.load_pem_x509_certificates(issued.chain_pem)[0]


def test_of_a_good_request_the_key_and_the_names_are_taken_and_nothing_else(own: Own) -> None:
    it = own()
    usage = x509.KeyUsage(True, False, True, False, False, False, False, False, False)
    csr = request(usage, x509.BasicConstraints(False, None), names=[x509.DNSName(NAME)])
    for cert in (asked(it, csr), asked(it, csr, NAME), asked(it, request(), NAME)):
        assert [a.value for a in cert.subject] == [NAME]
        listed = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert list(listed) == [x509.DNSName(NAME)]
        assert not cert.extensions.get_extension_for_class(x509.KeyUsage).value.key_encipherment
    assert asked(it, csr).public_key() == csr.public_key()


MORE: dict[str, tuple[list[x509.ExtensionType], str]] = {
    "CA": ([x509.BasicConstraints(True, 0)], "CA:TRUE"),
    "signs certificates": (
        [x509.KeyUsage(True, False, False, False, False, True, False, False, False)],
        "signs certificates",
    ),
    "signs lists": ([x509.KeyUsage(True, False, False, False, False, False, True, False, False)], "signs certificates"),
    "signs code": ([x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])], "1.3.6.1.5.5.7.3.3"),
    "several uses": (
        [
            x509.ExtendedKeyUsage(
                [
                    ExtendedKeyUsageOID.SERVER_AUTH,
                    ExtendedKeyUsageOID.CODE_SIGNING,
                    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
                ]
            )
        ],
        "1.3.6.1.5.5.7.3.3",
    ),
    "any use": ([x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])], "2.5.29.37.0"),
    "constraints": ([x509.NameConstraints([x509.DNSName("evil.example")], None)], "NAME_CONSTRAINTS"),
    "policies": (
        [x509.CertificatePolicies([x509.PolicyInformation(ObjectIdentifier("1.2.3"), None)])],
        "CERTIFICATE_POLICIES",
    ),
    "unknown": ([x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\x05\x00")], "1.2.3.4"),
    "no check": ([x509.OCSPNoCheck()], "OCSP_NO_CHECK"),
}


@pytest.mark.parametrize("what", MORE)
def test_a_request_that_asks_for_more_is_refused_with_what_it_is(own: Own, what: str) -> None:
    """K02."""
    it = own()
    extensions, told = MORE[what]
    csr = request(*extensions, names=[x509.DNSName(NAME)])
    for names in ([NAME], []):
        with pytest.raises(Declined, match=told):
            asked(it, csr, *names)
    assert it.index().entries == {}


def test_a_use_that_is_not_given_is_not_asked_for(own: Own) -> None:
    it = own()
    csr = request(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), names=[x509.DNSName(NAME)])
    with pytest.raises(Declined, match="extended key usage"):
        asked(it, csr, use="client")
    asked(it, csr, use="server")


NAMES: dict[str, x509.GeneralName] = {
    "another": x509.DNSName("b.corp.example"),
    "outside": x509.DNSName("evil.example"),
    "wildcard": x509.DNSName("*.corp.example"),
    "uri": x509.UniformResourceIdentifier("spiffe://corp.example/admin"),
    "foreign uri": x509.UniformResourceIdentifier("spiffe://evil.example/a"),
    "e-mail": x509.RFC822Name("root@corp.example"),
    "address as host": x509.DNSName("10.0.0.1"),
    "uri as host": x509.DNSName("spiffe://corp.example/admin"),
    "host as uri": x509.UniformResourceIdentifier("b.corp.example"),
    "registered": x509.RegisteredID(ObjectIdentifier("1.2.3")),
    "directory": x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "b.corp.example")])),
    "other": x509.OtherName(ObjectIdentifier("1.2.3"), b"\x05\x00"),
}


@pytest.mark.parametrize("what", NAMES)
def test_a_request_for_other_names_than_were_said_is_refused(own: Own, what: str) -> None:
    """K02."""
    it = own()
    csr = request(names=[x509.DNSName(NAME), NAMES[what]])
    with pytest.raises(Declined):
        asked(it, csr, NAME)
    if what not in {"another", "uri"}:
        with pytest.raises(Declined):
            asked(it, csr)
    assert it.index().entries == {}


def test_a_request_without_a_name_gets_none_from_its_subject(own: Own) -> None:
    with pytest.raises(Misuse, match="no name in subjectAltName"):
        asked(own(), request())


KEYS: dict[str, Callable[[], CertificateIssuerPrivateKeyTypes]] = {
    "RSA of 1024 bits": lambda: rsa.generate_private_key(65537, 1024),
    "exponent below": lambda: rsa.generate_private_key(3, 2048),
    "secp224r1": lambda: ec.generate_private_key(ec.SECP224R1()),
    "secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()),
    "of a kind": ed448.Ed448PrivateKey.generate,
    "of a kind that TLS": lambda: dsa.generate_private_key(2048),
}


@pytest.mark.parametrize("told", KEYS)
def test_a_weak_key_is_refused_by_its_kind(own: Own, told: str) -> None:
    """K02."""
    it = own()
    with pytest.raises(Declined, match=told):
        asked(it, request(names=[x509.DNSName(NAME)], key=KEYS[told]()))
    assert it.index().entries == {}


@pytest.mark.parametrize("key", [lambda: rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate])
def test_a_good_key_of_another_kind_is_certified(own: Own, key: Callable[[], CertificateIssuerPrivateKeyTypes]) -> None:
    made = key()
    assert asked(own(), request(names=[x509.DNSName(NAME)], key=made)).public_key() == made.public_key()


def test_a_request_that_its_key_did_not_sign_is_refused(own: Own) -> None:
    """K02."""
    it = own()
    der = bytearray(request(names=[x509.DNSName(NAME)]).public_bytes(Encoding.DER))
    at = der.index(b"Evil")
    der[at : at + 4] = b"Good"
    with pytest.raises(Declined, match="not by the key that it names"):
        asked(it, x509.load_der_x509_csr(bytes(der)))
    assert it.index().entries == {}


def test_a_request_that_is_signed_by_a_broken_hash_is_refused_and_told_so(own: Own) -> None:
    """K02."""
    key = rsa.generate_private_key(65537, 2048)
    csr = request(names=[x509.DNSName(NAME)], key=key)
    der = csr.public_bytes(Encoding.DER)
    by_sha256, by_sha1 = (bytes.fromhex(f"2a864886f70d0101{last}") for last in ("0b", "05"))
    assert der.count(by_sha256) == 1
    signature = key.sign(csr.tbs_certrequest_bytes, padding.PKCS1v15(), hashes.SHA1())
    weak = x509.load_der_x509_csr(der.replace(by_sha256, by_sha1)[: -len(signature)] + signature)
    assert isinstance(weak.signature_hash_algorithm, hashes.SHA1)
    it = own()
    with pytest.raises(Declined, match="is signed by SHA-1 or MD5: nobody proved to have that key"):
        asked(it, weak)
    assert it.index().entries == {}


def rsa_key(bits: int, exponent: int = 65537) -> rsa.RSAPublicKey:
    """One that nobody has: only how large it is counts."""
    return rsa.RSAPublicNumbers(exponent, (1 << bits - 1) | 1).public_key()


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (rsa_key(2048), None),
        (rsa_key(8192), None),
        (rsa_key(2048, 65539), None),
        (rsa_key(2047), "its key is RSA of 2047 bits, and 2048 to 8192 are taken"),
        (rsa_key(8193), "its key is RSA of 8193 bits, and 2048 to 8192 are taken"),
        (rsa_key(2048, 65535), "its key is RSA with an exponent below 65537"),
    ],
)
def test_how_large_a_key_may_be_is_held_to_the_bit(key: rsa.RSAPublicKey, why: str | None) -> None:
    """K02."""
    assert weakness(key) == why


def test_a_file_that_is_larger_than_any_request_is_not_read(tmp_path: Path) -> None:
    text = request(names=[x509.DNSName(NAME)]).public_bytes(Encoding.PEM)
    path = tmp_path / "x.csr"
    for size, fits in ((64 * 1024, True), (64 * 1024 + 1, False)):
        path.write_bytes(b"#" * (size - len(text) - 1) + b"\n" + text)
        if fits:
            assert from_file(path).is_signature_valid
        else:
            with pytest.raises(Surroundings, match=r"x\.csr cannot be read"):
                from_file(path)
    with pytest.raises(Surroundings, match=r"/absent cannot be read: No such file or directory$"):
        from_file(tmp_path / "absent")
    with pytest.raises(Surroundings, match=r"cannot be read: embedded null byte$"):
        from_file(tmp_path / "x\0")


def test_the_authoritys_own_key_and_a_stolen_one_are_not_certified(own: Own) -> None:
    it = own()
    with pytest.raises(Declined, match="the authority's own"):
        asked(it, request(names=[x509.DNSName(NAME)], key=it.generations()[0].signer().key))
    key = ec.generate_private_key(ec.SECP256R1())
    cert = asked(it, request(names=[x509.DNSName(NAME)], key=key))
    it.revoke(f"{cert.serial_number:x}", "key-compromise")
    with pytest.raises(Declined, match="taken back as stolen"):
        asked(it, request(names=[x509.DNSName(NAME)], key=key))


@given(story=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_request_broken_anywhere_is_refused_and_never_our_fault(
    story: st.DataObject, good: tuple[Authority, bytes]
) -> None:
    it, der = good
    broken = bytearray(der)
    places = story.draw(st.sets(st.integers(0, len(der) - 1), min_size=1, max_size=4))
    for at in places:
        broken[at] ^= story.draw(st.integers(1, 255))
    refused_whole(it, bytes(broken))


def test_a_request_whose_signature_ends_within_a_byte_is_refused(own: Own) -> None:
    """Where its last bits are none, it reads as the signature that was made."""
    while True:
        csr = request(names=[x509.DNSName(NAME)])
        if csr.signature[-1] & 1 == 0:
            break
    der = bytearray(csr.public_bytes(Encoding.DER))
    der[-len(csr.signature) - 1] = 1
    assert x509.load_der_x509_csr(bytes(der)).is_signature_valid
    refused_whole(own(), bytes(der))


def refused_whole(it: Authority, der: bytes) -> None:
    kind = b"CERTIFICATE REQUEST-----\n"
    pem = b"-----BEGIN " + kind + base64.encodebytes(der) + b"-----END " + kind
    with pytest.raises(EveryhopError):
        asked(it, parsed(pem, "x.csr"), NAME)


def test_a_request_of_another_version_is_refused(good: tuple[Authority, bytes]) -> None:
    it, der = good
    at = der.index(b"\x02\x01\x00")
    refused_whole(it, der[: at + 2] + b"\x01" + der[at + 3 :])


@pytest.fixture
def good(own: Own) -> tuple[Authority, bytes]:
    return own(), request(names=[x509.DNSName(NAME)]).public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    "text", [b"", b"nonsense", b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"]
)
def test_a_file_that_is_no_request_says_how_one_is_made(text: bytes, tmp_path: Path) -> None:
    with pytest.raises(Declined) as e:
        parsed(text, "x.csr")
    assert "x.csr" in str(e.value)
    two = request().public_bytes(Encoding.PEM) * 2
    with pytest.raises(Declined, match="is not one PEM request"):
        parsed(two, "x.csr")

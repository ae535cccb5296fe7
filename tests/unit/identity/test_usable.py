"""What the engine cannot use is refused by `check`, in true words, and what `check` takes the engine can use: they ask the
same judge. Files are held to what they are, whatever stands in them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from everyhop import _door
from everyhop.demo.certificates import put
from everyhop.identity import Pair, Unusable, read_crl, read_pair, read_roots
from everyhop.identity.certificates import verifies
from tests.kit import Pki
from tests.kit.forge import Signer, crl, element, forged, longer_than_taken, of_version_1, root, signed, wrapped

CURVES: dict[str, ec.EllipticCurve] = {
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
    "secp256k1": ec.SECP256K1(),
    "P-224": ec.SECP224R1(),
    "brainpool": ec.BrainpoolP256R1(),
}
KEYS: dict[str, Callable[[], CertificateIssuerPrivateKeyTypes]] = {
    **{name: (lambda curve=curve: ec.generate_private_key(curve)) for name, curve in CURVES.items()},  # type: ignore[misc]
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "Ed448": ed448.Ed448PrivateKey.generate,
    "RSA 1024": lambda: rsa.generate_private_key(65537, 1024),
    "RSA 2048": lambda: rsa.generate_private_key(65537, 2048),
    "RSA 3072": lambda: rsa.generate_private_key(65537, 3072),
    "RSA 8676": longer_than_taken,
    "DSA": lambda: dsa.generate_private_key(2048),
}
USABLE = {"P-256", "P-384", "P-521", "Ed25519", "RSA 2048", "RSA 3072"}
SHOWN = {
    "secp256k1": "on the curve secp256k1",
    "P-224": "on the curve secp224r1",
    "brainpool": "on the curve brainpoolP256r1",
    "Ed448": "is Ed448",
    "RSA 1024": "is RSA of 1024 bits",
    "RSA 8676": "is RSA of 8676 bits",
    "DSA": "is DSA",
}


def pem(key: CertificateIssuerPrivateKeyTypes, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    return key.private_bytes(Encoding.PEM, form, NoEncryption())


def read(folder: Path, chain: bytes, key: bytes) -> Pair:
    put(folder / "a.pem", chain, 0o644)
    put(folder / "a.key", key, 0o600)
    return read_pair("a.pem", "file:a.key", folder, {})


def told(folder: Path, chain: bytes, key: bytes) -> Unusable:
    with pytest.raises(Unusable) as caught:
        read(folder, chain, key)
    return caught.value


def certificate(it: Signer) -> bytes:
    return it.cert.public_bytes(Encoding.PEM)


@pytest.fixture
def leaf(pki: Pki) -> Signer:
    return forged("a.test", root(pki.public), names=["a.test"])


@pytest.mark.parametrize("kind", KEYS)
def test_a_key_is_taken_if_the_engine_uses_its_kind_and_else_is_told_by_its_kind(
    pki: Pki, tmp_path: Path, kind: str
) -> None:
    key = KEYS[kind]()
    it = forged("a.test", root(pki.public), names=["a.test"], key=key)
    if kind in USABLE:
        assert read(tmp_path, certificate(it), pem(key)).key_pem == pem(key)
        return
    found = told(tmp_path, certificate(it), pem(key))
    assert (found.slug, found.of) in {("certificate/unusable", "key"), ("certificate/unreadable", "key")}
    assert str(tmp_path / "a.key") in found.what and "match" not in found.what
    if found.slug == "certificate/unusable":
        assert SHOWN[kind] in found.what, found.what


def test_a_certificate_of_version_1_is_told_as_such_and_not_as_one_of_another_key(pki: Pki, tmp_path: Path) -> None:
    it = of_version_1("a.test", root(pki.public))
    assert it.cert.version is x509.Version.v1
    found = told(tmp_path, certificate(it), pem(it.key))
    assert (found.slug, found.of) == ("certificate/unusable", "chain")
    assert str(tmp_path / "a.pem") in found.what and "version 1" in found.what and "match" not in found.what


def test_a_first_certificate_on_a_curve_that_nobody_knows_is_told_as_that_whatever_stands_behind_it(
    pki: Pki, leaf: Signer, tmp_path: Path
) -> None:
    """And not as one of another key."""
    p256, unknown = bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a8648ce3d03017f")
    odd = signed(leaf.cert.tbs_certificate_bytes.replace(p256, unknown), root(pki.public))
    chain = x509.load_der_x509_certificate(odd).public_bytes(Encoding.PEM) + pki.public.file.read_bytes()
    found = told(tmp_path, chain, pem(leaf.key))
    assert (found.slug, found.of) == ("certificate/unreadable", "chain")
    assert "a.pem cannot be read: UnsupportedAlgorithm" in found.what


def test_of_a_chain_the_first_is_asked_whether_it_demands_a_stapled_answer(pki: Pki, tmp_path: Path) -> None:
    """Those who sign others say so for what is below them."""
    stapled = x509.TLSFeature([x509.TLSFeatureType.status_request])
    above = forged("Above CA", root(pki.public), ca=True, more=[stapled])
    below = forged("Below CA", root(pki.public), ca=True)
    fine = forged("a.test", above, names=["a.test"])
    assert read(tmp_path, certificate(fine) + certificate(above), pem(fine.key)).names == ("a.test",)
    it = forged("a.test", below, names=["a.test"], more=[stapled])
    assert "must-staple" in told(tmp_path, certificate(it) + certificate(below), pem(it.key)).what


@pytest.mark.parametrize("feature", [*x509.TLSFeatureType])
def test_a_certificate_that_demands_a_stapled_answer_is_refused_in_words(
    pki: Pki, tmp_path: Path, feature: x509.TLSFeatureType
) -> None:
    """RFC 7633: who obeys it refuses each handshake without one, and no authority gives any."""
    it = forged("a.test", root(pki.public), names=["a.test"], more=[x509.TLSFeature([feature])])
    found = told(tmp_path, certificate(it), pem(it.key))
    assert (found.slug, found.of) == ("certificate/unusable", "chain")
    assert str(tmp_path / "a.pem") in found.what and "must-staple" in found.what and "without it" in found.mend


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize(
    "around",
    [
        lambda it: b"\xef\xbb\xbf" + it,
        lambda it: "friendlyName: schl\u00fcssel\n".encode() + it,
        lambda it: it.replace(b"\n", b"\r\n"),
        lambda it: b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + it,
        lambda it: it + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ],
    ids=["a byte order mark", "a note that is no ASCII", "lines of Windows", "parameters", "something behind"],
)
def test_what_stands_around_a_key_hurts_neither_check_nor_engine(
    leaf: Signer, tmp_path: Path, around: Callable[[bytes], bytes], form: PrivateFormat
) -> None:
    """All of it is passed over here, so that the engine gets the key alone."""
    pair = read(tmp_path, b"\xef\xbb\xbf" + certificate(leaf), around(pem(leaf.key, form)))
    assert pair.key_pem.startswith(b"-----BEGIN ") and pair.key_pem.count(b"-----BEGIN") == 1
    assert _door.judge_pair(pair.chain_pem.decode(), pair.key_pem) is None


def test_a_key_that_is_none_yet_is_told_by_what_it_is_and_how_it_becomes_one(leaf: Signer, tmp_path: Path) -> None:
    key = leaf.key
    plain = pem(key)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    old = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"x"))
    ssh = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    forms = {
        b"": ("it is empty", "PEM"),
        key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()): ("it is DER", "-inform DER"),
        locked: ("locked by a password", "openssl pkey"),
        old: ("locked by a password", "openssl pkey"),
        ssh: ("one of OpenSSH", "ssh-keygen"),
        certificate(leaf): ("but a certificate", "swapped"),
        plain.decode().encode("utf-16"): ("it is UTF-16", "iconv"),
        base64.b64encode(plain): ("it is base64 of one", "base64 -d"),
        b"!" + base64.b64encode(plain): ("holds no PEM key", "give a PEM file with a key"),
        b"nonsense!": ("holds no PEM key", "give a PEM file with a key"),
        plain.replace(b"\n", b"\\n"): (r"\n is written out", "lines"),
        plain.replace(b"\n", b" "): ("nothing stands where its lines should end", "lines"),
        plain[:90]: ("whole", "whole PEM key"),
        plain.replace(plain[60:64], b"AAAA"): ("can be read", "PEM key"),
    }
    for data, (what, mend) in forms.items():
        found = told(tmp_path, certificate(leaf), data)
        assert (found.slug, found.of) == ("certificate/unreadable", "key"), (what, found.what)
        assert what in found.what and mend in found.mend, (what, found.what, found.mend)
        assert "cat edge.key" not in found.mend, "it is no variable"
        assert plain.splitlines()[1].decode() not in found.what + found.mend


def test_a_key_of_the_environment_is_named_by_its_variable(leaf: Signer, tmp_path: Path) -> None:
    put(tmp_path / "a.pem", certificate(leaf), 0o644)
    plain = pem(leaf.key).decode()
    assert read_pair("a.pem", "env:KEY", tmp_path, {"KEY": plain}).key_pem == plain.encode()
    for value, what in ((plain.replace("\n", "\\n"), r"\n is written out"), ("\udcff", "holds no PEM key")):
        with pytest.raises(Unusable, match="env:KEY") as caught:
            read_pair("a.pem", "env:KEY", tmp_path, {"KEY": value})
        assert what in caught.value.what
        assert ("cat edge.key" in caught.value.mend) == ("written out" in what)


def test_a_chain_that_is_none_yet_is_told_by_what_it_is_and_how_it_becomes_one(leaf: Signer, tmp_path: Path) -> None:
    forms = {
        leaf.cert.public_bytes(Encoding.DER): ("it is DER", "openssl x509 -inform DER"),
        pem(leaf.key): ("but a key", "swapped"),
        b"-----BEGIN PKCS7-----\nAAAA\n-----END PKCS7-----\n": ("PKCS#7", "openssl pkcs7"),
        certificate(leaf).replace(b" CERTIFICATE", b" TRUSTED CERTIFICATE"): ("OpenSSL's own", "openssl x509"),
        certificate(leaf)[:200]: ("whole", "whole PEM certificate"),
        b" \n": ("it is empty", "PEM"),
    }
    for data, (what, mend) in forms.items():
        found = told(tmp_path, data, pem(leaf.key))
        assert (found.slug, found.of) == ("certificate/unreadable", "chain")
        assert what in found.what and mend in found.mend, (what, found.what, found.mend)


@pytest.mark.parametrize("kind", [k for k in KEYS if k != "DSA"])
def test_roots_that_verify_nothing_are_refused_or_told_where_others_stand_beside_them(
    pki: Pki, tmp_path: Path, kind: str
) -> None:
    it = certificate(forged("Some CA", root(pki.public), ca=True, key=KEYS[kind]()))
    put(tmp_path / "one.pem", it, 0o644)
    put(tmp_path / "both.pem", it + pki.internal.file.read_bytes(), 0o644)
    if kind in USABLE:
        assert read_roots("one.pem", tmp_path).weak == () == read_roots("both.pem", tmp_path).weak
        return
    with pytest.raises(Unusable, match="nothing here verifies by") as caught:
        read_roots("one.pem", tmp_path)
    assert caught.value.slug == "ca/unusable"
    (weak,) = read_roots("both.pem", tmp_path).weak
    assert "both.pem" in weak and "Some CA" in weak


def test_of_roots_that_verify_nothing_the_first_is_told(pki: Pki, tmp_path: Path) -> None:
    one, two = (forged(name, root(pki.public), ca=True, key=KEYS["Ed448"]()) for name in ("One CA", "Two CA"))
    put(tmp_path / "two.pem", certificate(one) + certificate(two), 0o644)
    with pytest.raises(Unusable, match="One CA") as caught:
        read_roots("two.pem", tmp_path)
    assert "RSA of 2048 bits, P-256 or P-384" in caught.value.mend


def test_keys_of_rsa_are_verified_by_from_2048_bits_to_8192() -> None:
    def of(bits: int) -> x509.Certificate:
        key = rsa.RSAPublicNumbers(65537, (1 << bits - 1) + 1).public_key()
        return cast(x509.Certificate, SimpleNamespace(public_key=lambda: key))

    assert [bits for bits in (1024, 2047, 2048, 8192, 8193) if verifies(of(bits))] == [2048, 8192]


LISTS: dict[str, tuple[x509.ExtensionType, str]] = {
    "a delta": (x509.DeltaCRLIndicator(1), "it is a delta"),
    "for others": (
        x509.IssuingDistributionPoint(
            full_name=[x509.UniformResourceIdentifier("http://ca.test/list")],
            relative_name=None,
            only_contains_user_certs=False,
            only_contains_ca_certs=False,
            only_some_reasons=None,
            indirect_crl=True,
            only_contains_attribute_certs=False,
        ),
        "it speaks for other authorities",
    ),
    "of an extension that nobody knows": (
        x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\x05\x00"),
        "critical extension",
    ),
}


@pytest.mark.parametrize("kind", LISTS)
def test_a_list_that_the_engine_could_not_judge_by_is_refused_with_its_reason(
    pki: Pki, tmp_path: Path, kind: str
) -> None:
    """It was taken here, and the engine refused the whole plan for it."""
    roots = read_roots(str(pki.public.file), tmp_path)
    good = crl(tmp_path / "good.pem", root(pki.public))
    assert read_crl(str(good), roots, tmp_path).pem == good.read_bytes()
    extension, why = LISTS[kind]
    path = crl(tmp_path / "list.pem", root(pki.public), more=[extension])
    with pytest.raises(Unusable, match=why) as told:
        read_crl(str(path), roots, tmp_path)
    assert told.value.slug == "crl/unusable" and str(path) in told.value.what


def without(path: Path, by: Signer, left_out: Callable[[int, int], bool]) -> None:
    """The list at `path` again, signed by `by`, without the elements of which `left_out` says so by tag and place."""
    tbs = x509.load_pem_x509_crl(path.read_bytes()).tbs_certlist_bytes
    _, head, _ = element(tbs)
    inner, kept, at, place = tbs[head:], b"", 0, 0
    while at < len(inner):
        tag, _, whole = element(inner[at:])
        kept += b"" if left_out(tag, place) else inner[at : at + whole]
        at, place = at + whole, place + 1
    body = base64.encodebytes(signed(wrapped(0x30, kept), by)).decode()
    path.write_text(f"-----BEGIN X509 CRL-----\n{body}-----END X509 CRL-----\n")


def test_a_list_of_version_1_is_refused_as_such(pki: Pki, tmp_path: Path) -> None:
    """As `openssl ca -gencrl` makes them where nobody asked for extensions."""
    by = root(pki.public)
    path = crl(tmp_path / "list.pem", by)
    without(path, by, lambda tag, _: tag in {0x02, 0xA0})
    with pytest.raises(Unusable, match="it is of version 1") as told:
        read_crl("list.pem", read_roots(str(pki.public.file), tmp_path), tmp_path)
    assert "version 2" in told.value.mend


def test_a_list_that_does_not_say_when_the_next_one_comes_is_refused(pki: Pki, tmp_path: Path) -> None:
    by = root(pki.public)
    path = crl(tmp_path / "list.pem", by)
    next_update = 4  # Behind version, algorithm, issuer and this update (RFC 5280 §5.1).
    without(path, by, lambda _, place: place == next_update)
    assert x509.load_pem_x509_crl(path.read_bytes()).next_update_utc is None
    with pytest.raises(Unusable, match="does not say when the next one comes") as told:
        read_crl("list.pem", read_roots(str(pki.public.file), tmp_path), tmp_path)
    assert "nextUpdate" in told.value.mend


def test_a_list_in_an_authoritys_name_by_another_key_is_refused_as_that(pki: Pki, tmp_path: Path) -> None:
    forger = Signer(root(pki.public).cert, ec.generate_private_key(ec.SECP256R1()))
    crl(tmp_path / "list.pem", forger)
    with pytest.raises(Unusable, match="is not signed by that authority"):
        read_crl("list.pem", read_roots(str(pki.public.file), tmp_path), tmp_path)

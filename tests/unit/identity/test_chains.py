"""Chains: what leads nowhere is refused, what others will mind is told, and what is in order is silent."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from everyhop.identity.chain import Role, broken, doubts, issued
from tests.kit import Pki
from tests.kit.forge import FETCHED, HOUR, Signer, forged, new_key, of_version_1, root

NOW = dt.datetime.now(dt.UTC)


def said(
    *chain: Signer | x509.Certificate, role: Role = "site", known: Sequence[Signer] = (), now: dt.datetime = NOW
) -> list[tuple[str, str]]:
    certs = tuple(it.cert if isinstance(it, Signer) else it for it in chain)
    assert broken(certs) is None, broken(certs)
    return [(d.slug.removeprefix("certificate/"), d.what) for d in doubts(certs, role, now, [s.cert for s in known])]


def with_key(it: x509.Certificate, by: Signer, key: x25519.X25519PublicKey) -> bytes:
    """The same for another key."""
    now = dt.datetime.now(dt.UTC)
    made = x509.CertificateBuilder().subject_name(it.subject).issuer_name(by.cert.subject).public_key(key)
    made = made.serial_number(7).not_valid_before(now - HOUR).not_valid_after(now + HOUR)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return made.sign(by.key, hashes.SHA256()).public_bytes(Encoding.DER)


def slugs(*chain: Signer | x509.Certificate, **more: object) -> list[str]:
    return [slug for slug, _ in said(*chain, **more)]  # type: ignore[arg-type]


@pytest.fixture
def top(pki: Pki) -> Signer:
    return root(pki.public)


@pytest.fixture
def middle(top: Signer) -> Signer:
    return forged("Middle CA", top, ca=True)


@pytest.fixture
def leaf(middle: Signer) -> Signer:
    return forged("a.test", middle, names=["a.test"])


def test_a_chain_in_order_is_silent_with_and_without_its_root(top: Signer, middle: Signer, leaf: Signer) -> None:
    assert slugs(leaf, middle) == slugs(leaf, middle, top) == slugs(leaf, middle, role="identity") == []


def test_an_issuer_of_the_right_name_and_another_key_is_no_issuer(top: Signer, middle: Signer, leaf: Signer) -> None:
    """An authority that takes a new key keeps its name."""
    renewed = forged("Middle CA", top, ca=True)
    assert renewed.cert.subject == middle.cert.subject
    why = broken((leaf.cert, renewed.cert))
    assert why is not None and "did not sign" in why[0] and "a.test" in why[0]
    # Beside the right one it is only one too many.
    assert slugs(leaf, middle, renewed) == ["chain-untidy"] == slugs(leaf, renewed, middle)


def test_an_issuer_of_an_issuer_is_held_to_its_key_as_well(top: Signer, leaf: Signer, middle: Signer) -> None:
    forger = Signer(top.cert, ec.generate_private_key(ec.SECP256R1()))
    false = forged("Middle CA", forger, ca=True, key=middle.key)
    why = broken((leaf.cert, false.cert, top.cert))
    assert why is not None and "did not sign" in why[0] and "Middle CA" in why[0]


def test_what_leads_nowhere_is_broken(top: Signer, middle: Signer, leaf: Signer) -> None:
    lower = forged("Lower CA", middle, ca=True)
    deep = forged("b.test", lower, names=["b.test"])
    other = forged("Other CA", top, ca=True)
    assert said(deep, lower, middle) == []
    for chain, who in (
        ((leaf, other), "Other CA"),
        ((leaf, top), "Public CA"),
        ((leaf, other, top), "Other CA"),
        ((deep, middle), "Middle CA"),
    ):
        why = broken(tuple(it.cert for it in chain))
        assert why is not None and "not in order" in why[0] and who in why[0], chain
        assert why[1].startswith("put the leaf first")


def test_an_order_that_is_none_is_tolerated_behind_the_leaf_and_told(top: Signer, middle: Signer) -> None:
    """RFC 8446 4.4.2."""
    lower = forged("Lower CA", middle, ca=True)
    deep = forged("b.test", lower, names=["b.test"])
    ((slug, what),) = said(deep, middle, lower)
    assert slug == "chain-untidy" and "Middle CA" in what and "stands before what it signed" in what
    ((slug, what),) = said(deep, top, lower, middle)
    assert slug == "chain-untidy" and "Public CA" in what
    found = said(deep, middle, lower, known=[top])
    assert [slug for slug, _ in found] == ["chain-untidy"], "what it lacks is seen by what is there, in any order"


def test_a_certificate_that_lasts_longer_than_clients_believe_is_told_of_a_site(top: Signer) -> None:
    day = 24 * HOUR
    for days, slugs_ in ((825, []), (826, ["lasts-too-long"])):
        it = forged("b.test", top, names=["b.test"], begins=-HOUR, ends=days * day - HOUR)
        assert slugs(it) == slugs_
        assert slugs(it, role="identity") == []


def test_how_long_a_certificate_lasts_is_its_own_and_not_that_of_the_authority_above_it(top: Signer) -> None:
    lasting = forged("Middle CA", top, ca=True, ends=3000 * 24 * HOUR)
    assert slugs(forged("a.test", lasting, names=["a.test"]), lasting) == []


def test_what_is_too_much_is_tolerated_and_told(pki: Pki, top: Signer, middle: Signer, leaf: Signer) -> None:
    """RFC 8446 4.4.2."""
    other = forged("Other CA", top, ca=True)
    assert slugs(leaf, leaf, middle) == slugs(leaf, middle, middle) == ["chain-untidy"]
    assert slugs(leaf, top, middle) == slugs(leaf, middle, other) == slugs(leaf, other, middle) == ["chain-untidy"]
    # The first that is too much is told.
    chain = (leaf, other, top, middle, middle, top, other)
    whats = [what for _, what in said(*chain)]
    assert "Middle CA" in whats[0] and "more than once" in whats[0] and "Other CA" in whats[1] and len(whats) == 2
    third = forged("Third CA", top, ca=True)
    ((_, what),) = said(leaf, middle, other, third)
    assert "Other CA" in what and "Third CA" not in what
    # The same authority, certified by two roots: both are ways, and clients choose.
    again = forged("Middle CA", root(pki.internal), ca=True, key=middle.key)
    assert said(leaf, middle, again) == said(leaf, again, middle) == []


def test_of_several_that_stand_too_early_the_one_nearest_to_the_leaf_is_told(top: Signer, middle: Signer) -> None:
    lower = forged("Lower CA", middle, ca=True)
    leaf = forged("a.test", lower, names=["a.test"])
    ((slug, what),) = said(leaf, top, middle, lower)
    assert slug == "chain-untidy" and "'CN=Middle CA' stands before" in what


def test_an_issuer_whose_time_is_over_or_not_come_is_told(top: Signer) -> None:
    for ends, begins, what in ((-HOUR, -48 * HOUR, "ended on"), (48 * HOUR, HOUR, "begins on")):
        middle = forged("Middle CA", top, ca=True, begins=begins, ends=ends)
        ((slug, why),) = said(forged("a.test", middle, names=["a.test"]), middle)
        assert slug == "chain-untrusted" and what in why and "Middle CA" in why
    # To the second: from the first on, and not at the last.
    middle = forged("Middle CA", top, ca=True)
    chain = (forged("a.test", middle, names=["a.test"]), middle)
    first, end = middle.cert.not_valid_before_utc, middle.cert.not_valid_after_utc
    second = dt.timedelta(seconds=1)
    assert said(*chain, now=first) == said(*chain, now=end - second) == []
    assert "begins on" in said(*chain, now=first - second)[0][1] and "ended on" in said(*chain, now=end)[0][1]
    # The leaf's own date is told elsewhere.
    assert said(forged("a.test", top, names=["a.test"], begins=-48 * HOUR, ends=-HOUR)) == []


def test_an_issuer_that_is_no_authority_and_a_hash_that_is_given_up_are_told(top: Signer) -> None:
    old = of_version_1("Middle CA", top)
    assert "is no authority" in said(forged("a.test", old, names=["a.test"]), old)[0][1]
    by = forged("RSA CA", top, ca=True, key=new_key("rsa"))
    der = forged("a.test", by, names=["a.test"]).cert.public_bytes(Encoding.DER)
    sha256, sha1 = (bytes.fromhex(f"2a864886f70d0101{last}") for last in ("0b", "05"))
    ((slug, why),) = said(x509.load_der_x509_certificate(der.replace(sha256, sha1)))
    assert slug == "chain-untrusted" and "SHA1" in why
    # One that nobody here knows is no reason to say anything of it.
    assert said(x509.load_der_x509_certificate(der.replace(sha256, bytes.fromhex("2a864886f70d01017f")))) == []


ODD = {
    "a feature of TLS that nobody knows": ("1.3.6.1.5.5.7.1.24", "3003020106"),
    "no feature of TLS": ("1.3.6.1.5.5.7.1.24", "3000"),
    "a name of a kind that nobody knows": ("2.5.29.18", "3006a30430020500"),
    "no use at all": ("2.5.29.37", "3000"),
}


@pytest.mark.parametrize("what", ODD)
def test_an_issuer_that_says_what_nobody_can_read_is_told_as_one_that_is_not_seen_to_be_an_authority(
    top: Signer, what: str
) -> None:
    """It was an error of ours: what reading it raises is of no one kind."""
    oid, der = ODD[what]
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), bytes.fromhex(der))
    middle = forged("Middle CA", top, ca=True, more=[odd])
    ((slug, why),) = said(forged("a.test", middle, names=["a.test"]), middle)
    assert slug == "chain-untrusted" and "'CN=Middle CA' stands as an issuer and is no authority" in why


def test_a_missing_issuer_is_told_where_it_is_known_to_be_missing(top: Signer, middle: Signer, leaf: Signer) -> None:
    """Whether a stranger's root or an authority below it is missing cannot be seen; what is known is told."""
    assert slugs(leaf) == [] and slugs(leaf, known=[top]) == []
    ((slug, why),) = said(leaf, known=[middle])
    assert slug == "chain-incomplete" and "Middle CA" in why
    told = forged("b.test", middle, names=["b.test"], more=[FETCHED])
    assert slugs(told) == ["chain-incomplete"] and slugs(told, middle) == []
    assert slugs(forged("b.test", top, names=["b.test"], more=[FETCHED]), known=[top]) == []


def test_what_a_certificate_is_not_for_is_told(top: Signer) -> None:
    def leaf(*uses: x509.ObjectIdentifier, **more: object) -> Signer:
        return forged("a.test", top, names=["a.test"], usages=uses or None, **more)  # type: ignore[arg-type]

    server, client = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
    assert slugs(leaf(client)) == slugs(leaf(server), role="identity") == ["wrong-use"]
    for fine in (leaf(server), leaf(), leaf(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE), leaf(server, client)):
        assert slugs(fine) == []
    assert slugs(leaf(client), role="identity") == []
    ((slug, why),) = said(leaf(ca=True))
    assert slug == "wrong-use" and "CA:TRUE" in why
    usage = x509.KeyUsage(False, False, True, False, False, False, False, False, False)
    ((slug, why),) = said(leaf(server, more=[usage]))
    assert slug == "wrong-use" and "may not sign handshakes" in why
    unreadable = x509.UnrecognizedExtension(ExtensionOID.KEY_USAGE, b"\xff")
    ((slug, why),) = said(leaf(client, more=[unreadable]))
    assert slug == "wrong-use" and "cannot be read" in why, "what cannot be read is not absent"
    for role, purpose in (("site", "serverAuth"), ("identity", "clientAuth")):
        (doubt,) = doubts((leaf(ca=True).cert,), role, NOW, [])  # type: ignore[arg-type]
        assert f"extendedKeyUsage={purpose}," in doubt.mend


def test_an_issuer_whose_signature_cannot_be_judged_is_no_issuer(top: Signer, middle: Signer, leaf: Signer) -> None:
    """Of another kind of key than the signature's, of one that signs no certificates, by an algorithm that nobody here knows."""
    rsa = forged("Middle CA", top, ca=True, key=new_key("rsa"))
    agrees = x509.load_der_x509_certificate(with_key(rsa.cert, top, x25519.X25519PrivateKey.generate().public_key()))
    der = leaf.cert.public_bytes(Encoding.DER)
    sha256, unknown = bytes.fromhex("2a8648ce3d040302"), bytes.fromhex("2a8648ce3d04037f")
    strange = x509.load_der_x509_certificate(der.replace(sha256, unknown))
    for child, by in ((leaf.cert, rsa.cert), (leaf.cert, agrees), (strange, middle.cert)):
        assert child.issuer == by.subject and not issued(child, by)
        why = broken((child, by))
        assert why is not None and "did not sign" in why[0]

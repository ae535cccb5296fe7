"""Who may sign a list, where its certificate comes along with it: an authority that one of `ca` vouches for, and nobody else."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from everyhop.authority.certify import pem
from everyhop.demo.certificates import Authority
from everyhop.identity import Roots, Unusable, read_roots
from everyhop.identity.published import Published, published
from everyhop.identity.vouched import is_on_a_list
from tests.kit.forge import HOUR, Signer, crl, forged, of_version_1, public, root
from tests.unit.identity.test_published import NOW, URL


class Ground:
    """A root, and an issuing authority below it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = root(Authority(folder, "Root CA"))
        self.stranger = root(Authority(folder, "Strange CA"))
        self.below = forged("Issuing CA", self.root, ca=True)

    def roots(self) -> tuple[Roots, ...]:
        return (read_roots(public(self.folder, "roots", self.root).name, self.folder),)

    def list(self, by: Signer, *revoked: x509.Certificate) -> bytes:
        return crl(self.folder / "list.pem", by, *revoked).read_bytes()

    def body(self, *along: Signer, revoked: tuple[x509.Certificate, ...] = ()) -> bytes:
        """The root's list, that of the issuing authority, and what comes along."""
        return self.list(self.root, *revoked) + self.list(self.below) + pem(*(it.cert for it in along))

    def taken(self, body: bytes, held: Published | None = None) -> Published:
        return published(URL, body, self.roots(), held, NOW)

    def refused(self, body: bytes, held: Published | None = None) -> str:
        with pytest.raises(Unusable) as e:
            self.taken(body, held)
        assert e.value.slug == "crl/unusable" and e.value.mend
        return e.value.what


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


def issuers(it: Published) -> set[str]:
    return {one.issuer.rfc4514_string() for one in it.lists}


def test_the_list_of_an_authority_is_taken_with_its_certificate_where_only_the_root_is_known(ground: Ground) -> None:
    it = ground.taken(ground.body(ground.below))
    assert issuers(it) == {"CN=Root CA", "CN=Issuing CA"}
    # What is kept says the same once it is read again, and the engine gets the lists alone.
    again = ground.taken(it.pem)
    assert (again.pem, again.along) == (it.pem, (ground.below.cert,))
    assert it.crl.pem.count(b"BEGIN X509 CRL") == 2 and b"CERTIFICATE" not in it.crl.pem


def test_without_its_certificate_nobody_could_tell_who_signed_it(ground: Ground) -> None:
    assert "nobody could tell who signed it" in ground.refused(ground.body())


def test_several_steps_below_the_root_are_followed_in_whatever_order_they_come(ground: Ground) -> None:
    lowest = forged("Lowest CA", ground.below, ca=True)
    body = ground.list(lowest) + ground.body(lowest, ground.below)
    assert issuers(ground.taken(body)) == {"CN=Root CA", "CN=Issuing CA", "CN=Lowest CA"}


@pytest.mark.parametrize(
    ("of", "why"),
    [
        (lambda it: forged("Issuing CA", it.stranger, ca=True), "it is not signed by one of them"),
        (lambda it: forged("Issuing CA", Signer(it.root.cert, it.stranger.key), ca=True), "it is not signed by one of"),
        (lambda it: forged("Issuing CA", it.root, ca=True, ends=-HOUR, begins=-2 * HOUR), "it holds from "),
        (lambda it: forged("Issuing CA", it.root, ca=True, begins=HOUR), "it holds from "),
        (lambda it: forged("Issuing CA", it.root), "it is no authority that signs lists"),
        (lambda it: last(it), "the one above it may have no authority below it"),
    ],
    ids=["of a stranger", "under a root's name", "over", "yet to begin", "no authority", "below one that is the last"],
)
def test_a_certificate_that_the_root_does_not_vouch_for_makes_nobody_a_signer(
    ground: Ground, of: Callable[[Ground], Signer], why: str
) -> None:
    """T11. Whoever answers there may bring along what he likes."""
    ground.below = of(ground)
    what = ground.refused(ground.body(ground.below))
    assert "'CN=Issuing CA', whose certificate came along, but" in what and why in what and "CN=Root CA" in what


def last(it: Ground) -> Signer:
    it.root = root_of_length_0(it)
    return forged("Issuing CA", it.root, ca=True)


def root_of_length_0(it: Ground) -> Signer:
    above = forged("Root CA", Signer(it.root.cert, it.root.key), ca=True, length=0, key=it.root.key)
    return Signer(above.cert, above.key)


def test_a_certificate_along_whose_signature_nobody_can_judge_makes_nobody_a_signer_and_spoils_no_other_list(
    ground: Ground,
) -> None:
    """By an algorithm that nobody here knows."""
    der = ground.below.cert.public_bytes(Encoding.DER)
    sha256, unknown = bytes.fromhex("2a8648ce3d040302"), bytes.fromhex("2a8648ce3d04037f")
    strange = x509.load_der_x509_certificate(der.replace(sha256, unknown))
    assert issuers(ground.taken(ground.list(ground.root) + pem(strange))) == {"CN=Root CA"}
    assert "but it is not signed by one of them" in ground.refused(ground.body(Signer(strange, ground.below.key)))


def test_an_authority_that_does_not_sign_lists_by_its_usage_signs_none(ground: Ground) -> None:
    mine = forged("Issuing CA", ground.root)
    usage = x509.KeyUsage(True, False, False, False, False, True, False, False, False)
    it = x509.CertificateBuilder().subject_name(mine.cert.subject).issuer_name(ground.root.cert.subject)
    it = it.public_key(mine.key.public_key()).serial_number(7)
    it = it.not_valid_before(NOW - HOUR).not_valid_after(NOW + HOUR)
    it = it.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).add_extension(usage, True)
    ground.below = Signer(it.sign(ground.root.key, mine.cert.signature_hash_algorithm), mine.key)  # type: ignore[arg-type]
    assert "it is no authority that signs lists" in ground.refused(ground.body(ground.below))


def test_a_list_that_the_certificate_along_did_not_sign_is_refused(ground: Ground) -> None:
    shown, ground.below = ground.below, Signer(ground.below.cert, ground.stranger.key)
    assert "is not signed by that authority" in ground.refused(ground.body(shown))


def test_an_authority_that_its_root_took_back_signs_nothing_more_and_its_list_may_go(ground: Ground) -> None:
    held = ground.taken(ground.body(ground.below))
    it = ground.taken(ground.body(ground.below, revoked=(ground.below.cert,)), held)
    assert issuers(it) == {"CN=Root CA"} and it.along == ()
    assert issuers(ground.taken(ground.list(ground.root, ground.below.cert), held)) == {"CN=Root CA"}


def test_nobody_else_takes_an_authority_back(ground: Ground) -> None:
    """A list under the root's name that the root did not sign is refused with all that came beside it."""
    forged_list = ground.list(Signer(ground.root.cert, ground.stranger.key), ground.below.cert)
    what = ground.refused(forged_list + ground.list(ground.below) + pem(ground.below.cert))
    assert "the list of 'CN=Root CA' is not signed by that authority" in what


def test_what_is_on_a_list_is_asked_of_its_authority_s_own_and_of_no_other(ground: Ground) -> None:
    """Under another name, or under its name by another key, a list takes nobody back."""
    it, above = ground.below.cert, [ground.root.cert]

    def on(by: Signer) -> bool:
        return is_on_a_list(it, above, [x509.load_pem_x509_crl(ground.list(by, it))])

    assert on(ground.root)
    assert not on(Signer(ground.root.cert, ground.stranger.key))
    assert not on(Signer(ground.stranger.cert, ground.root.key))


def test_of_what_came_along_only_who_signed_a_list_is_kept(ground: Ground) -> None:
    """With the lists it is all that a next look needs; whoever signed none is asked for nothing."""
    beside = forged("Beside CA", ground.root, ca=True)
    assert ground.taken(ground.body(ground.below, beside)).along == (ground.below.cert,)


def test_a_list_may_not_be_left_out_with_its_signer_to_come_back_older(ground: Ground) -> None:
    old = crl(ground.folder / "old.pem", ground.below, begins=-2 * HOUR).read_bytes()
    held = ground.taken(ground.body(ground.below))
    assert "'CN=Issuing CA', which it gave before, is missing" in ground.refused(ground.list(ground.root), held)
    older = ground.list(ground.root) + old + pem(ground.below.cert)
    assert "'CN=Issuing CA' is older than the one that is held" in ground.refused(older, held)
    # The certificate need not come along each time.
    again = ground.taken(ground.body(), held)
    assert again.along == (ground.below.cert,)


def test_certificates_without_end_are_not_judged(ground: Ground) -> None:
    many = ground.below.cert.public_bytes(Encoding.PEM) * 100
    assert issuers(ground.taken(ground.body() + many)) == {"CN=Root CA", "CN=Issuing CA"}
    with pytest.raises(Unusable, match="101 certificates came along, and 100 are read"):
        ground.taken(ground.body(ground.below) + many)


def test_a_certificate_along_holds_from_its_first_second_to_the_one_before_its_end(ground: Ground) -> None:
    it, second = ground.below.cert, dt.timedelta(seconds=1)
    begins, ends = it.not_valid_before_utc, it.not_valid_after_utc
    body = ground.body(ground.below)
    for now in (begins, ends - second):
        assert issuers(published(URL, body, ground.roots(), None, now)) == {"CN=Root CA", "CN=Issuing CA"}
    for now in (begins - second, ends):
        with pytest.raises(Unusable, match="it holds from "):
            published(URL, body, ground.roots(), None, now)


def test_a_root_that_says_nothing_of_itself_vouches_for_authorities_below_it(ground: Ground) -> None:
    """RFC 5280 knows version 1 without extensions."""
    old = of_version_1("Root CA", ground.root)
    ground.root = Signer(old.cert, old.key)
    ground.below = forged("Issuing CA", ground.root, ca=True)
    assert issuers(ground.taken(ground.body(ground.below))) == {"CN=Root CA", "CN=Issuing CA"}


def test_one_above_that_may_have_authorities_below_it_is_enough(ground: Ground) -> None:
    """An authority may have been certified anew, by the same key and for more."""
    anew = root_of_length_0(ground)
    ground.below = forged("Issuing CA", ground.root, ca=True)
    both = read_roots(public(ground.folder, "both", ground.root).name, ground.folder)
    more = read_roots(public(ground.folder, "more", anew).name, ground.folder)
    body = ground.body(ground.below)
    assert issuers(published(URL, body, (both, more), None, NOW)) == {"CN=Root CA", "CN=Issuing CA"}
    with pytest.raises(Unusable, match="may have no authority below it"):
        published(URL, body, (more,), None, NOW)


def test_the_same_number_on_another_authority_s_list_takes_nobody_back(ground: Ground) -> None:
    ground.stranger = forged("Second CA", ground.root, ca=True)
    theirs = ground.list(ground.stranger, ground.below.cert)
    it = ground.taken(ground.body(ground.below, ground.stranger) + theirs)
    assert issuers(it) == {"CN=Root CA", "CN=Issuing CA", "CN=Second CA"}


def test_a_certificate_that_cannot_be_read_is_told(ground: Ground) -> None:
    broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    assert ground.refused(ground.body(ground.below) + broken)

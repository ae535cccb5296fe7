"""A list that came from a URL is held to who signed it and to the one that is held: nothing else is put in force."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from everyhop.demo.certificates import Authority
from everyhop.identity import Roots, Unusable, read_roots
from everyhop.identity.published import Published, published
from tests.kit.forge import HOUR, Signer, crl, forged, public, root

URL = "http://lists.test/ca.crl"
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)


class Ground:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.by, self.second = (root(Authority(folder, name)) for name in ("One CA", "Second CA"))

    def roots(self, *of: Signer) -> tuple[Roots, ...]:
        """One set of roots for each."""
        return tuple(read_roots(public(self.folder, f"roots-{n}", it).name, self.folder) for n, it in enumerate(of))

    def pem(self, by: Signer | None = None, **of: object) -> bytes:
        return crl(self.folder / "list.pem", by or self.by, **of).read_bytes()  # type: ignore[arg-type]

    def numbered(self, number: int | None, begins: dt.timedelta) -> bytes:
        it = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.by.cert.subject)
            .last_update(NOW + begins)
            .next_update(NOW + 24 * HOUR)
        )
        it = it.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self.by.key.public_key()),
            critical=False,
        )
        if number is not None:
            it = it.add_extension(x509.CRLNumber(number), critical=False)
        return it.sign(self.by.key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def taken(self, body: bytes, *of: Signer, held: Published | None = None) -> Published:
        return published(URL, body, self.roots(*(of or (self.by,))), held, NOW)

    def refused(self, body: bytes, *of: Signer, held: Published | None = None) -> str:
        with pytest.raises(Unusable) as e:
            self.taken(body, *of, held=held)
        assert e.value.slug == "crl/unusable" and e.value.mend
        return e.value.what


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


def test_a_list_is_taken_as_der_and_as_pem_and_is_kept_the_same(ground: Ground) -> None:
    pem = ground.pem()
    der = x509.load_pem_x509_crl(pem).public_bytes(Encoding.DER)
    as_pem, as_der = ground.taken(pem), ground.taken(der)
    assert as_pem.pem == as_der.pem == pem
    assert as_der.crl.next_update - as_der.crl.this_update == 25 * HOUR


def test_what_is_held_of_a_url_does_not_fill_a_log(ground: Ground) -> None:
    """Lists may have tens of megabytes."""
    told = repr(ground.taken(ground.pem()))
    assert "BEGIN" not in told and "RevocationList" not in told and "along" not in told


@pytest.mark.parametrize("body", [b"", b"<html></html>", b"\0" * 64, b"-----BEGIN CERTIFICATE-----"])
def test_what_is_no_list_is_refused(ground: Ground, body: bytes) -> None:
    assert URL in ground.refused(body)


def test_a_list_is_put_in_force_only_where_a_known_authority_signed_it(ground: Ground) -> None:
    assert "nobody could tell who signed it" in ground.refused(ground.pem(ground.second))
    impostor = Signer(ground.by.cert, ground.second.key)
    assert "is not signed by that authority" in ground.refused(ground.pem(impostor))
    spoiled = bytearray(x509.load_pem_x509_crl(ground.pem()).public_bytes(Encoding.DER))
    spoiled[-1] ^= 1
    assert "is not signed by that authority" in ground.refused(bytes(spoiled))


def test_no_list_rides_along_with_a_good_one(ground: Ground) -> None:
    """The engine would meet it in a chain, and believe nobody of that authority any more."""
    below = forged("Below CA", ground.by, ca=True)
    assert "'CN=Below CA'" in ground.refused(ground.pem() + ground.pem(below))
    assert "two lists of 'CN=One CA'" in ground.refused(ground.pem() + ground.pem())


def test_one_url_may_serve_those_of_several_authorities(ground: Ground) -> None:
    both = ground.pem() + ground.pem(ground.second)
    assert ground.taken(both, ground.by, ground.second).pem == both
    # None of it is for whoever is verified by the second.
    assert "none of CN=Second CA" in ground.refused(ground.pem(), ground.by, ground.second)


def test_while_an_authority_changes_its_key_the_list_by_either_is_known(ground: Ground) -> None:
    again = forged("One CA", ground.second, ca=True)
    roots = read_both(ground, ground.roots(ground.by, again))
    for by in (ground.by, again):
        assert published(URL, ground.pem(by), roots, None, NOW).lists[0].issuer == ground.by.cert.subject


@pytest.mark.parametrize(
    ("number", "begins", "why"),
    [
        (7, -HOUR, None),
        (8, -HOUR, None),
        (7, HOUR * 0, None),
        (6, HOUR * 0, "number 6, and that is 7"),
        (None, HOUR * 0, "number none, and that is 7"),
        (8, -2 * HOUR, "UTC, and that is of"),
    ],
)
def test_an_older_list_than_the_one_that_is_held_is_refused(
    ground: Ground, number: int | None, begins: dt.timedelta, why: str | None
) -> None:
    held = ground.taken(ground.numbered(7, -HOUR))
    body = ground.numbered(number, begins)
    if why is None:
        assert ground.taken(body, held=held).pem == body
    else:
        what = ground.refused(body, held=held)
        assert "is older than the one that is held" in what and why in what


@pytest.mark.parametrize("number", [None, 0, 7])
def test_a_list_after_one_without_a_number_is_known_by_its_date_alone(ground: Ground, number: int | None) -> None:
    held = ground.taken(ground.numbered(None, -HOUR))
    body = ground.numbered(number, -HOUR)
    assert ground.taken(body, held=held).pem == body
    assert "UTC, and that is of" in ground.refused(ground.numbered(number, -2 * HOUR), held=held)


def test_a_list_that_was_there_may_not_be_left_out_to_come_back_older(ground: Ground) -> None:
    both = ground.taken(ground.pem() + ground.pem(ground.second), ground.by, ground.second)
    roots = ground.roots(ground.by, ground.second)
    merged = read_both(ground, roots)
    with pytest.raises(Unusable, match="which it gave before, is missing"):
        published(URL, ground.pem(), merged, both, NOW)
    # Who is verified by one of them no more needs no list of it, and of the other as before.
    assert published(URL, ground.pem(), roots[:1], both, NOW).pem
    assert published(URL, ground.pem(ground.second), roots[1:], both, NOW).pem
    with pytest.raises(Unusable, match="'CN=Second CA' is older than the one that is held"):
        published(URL, ground.pem(ground.second, begins=-2 * HOUR), roots[1:], both, NOW)


def read_both(ground: Ground, roots: tuple[Roots, ...]) -> tuple[Roots, ...]:
    """One set with the roots of both."""
    path = ground.folder / "both.pem"
    path.write_bytes(b"".join(it.pem for it in roots))
    return (read_roots(path.name, ground.folder),)


@given(st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_list_that_is_broken_anywhere_is_refused_in_words_or_is_the_same(ground: Ground, data: st.DataObject) -> None:
    """Whoever answers there may be anybody."""
    whole = WHOLE.setdefault(ground.folder, x509.load_pem_x509_crl(ground.pem()).public_bytes(Encoding.DER))
    broken = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 3))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    broken = broken[: data.draw(st.integers(0, len(broken)) | st.just(len(broken)))]
    try:
        taken = ground.taken(bytes(broken) + data.draw(st.binary(max_size=2)))
    except Unusable as e:
        assert e.slug == "crl/unusable" and e.what and e.mend
    else:
        assert x509.load_pem_x509_crl(taken.pem).public_bytes(Encoding.DER) == whole


WHOLE: dict[Path, bytes] = {}

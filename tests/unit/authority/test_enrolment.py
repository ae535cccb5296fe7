"""A token makes one certificate, whoever shows it and however often (K01); a certificate makes another of itself and nothing more."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import os
import string
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from everyhop.authority import Authority, activate, opened, prepare, retire
from everyhop.authority.enrolment import Token, Unknown, invite, redeem, renew, token_of, withdraw
from everyhop.authority.names import named
from everyhop.authority.policy import told
from everyhop.authority.server import FAILURES, PER_S, REMEMBERED, Failures, whom
from everyhop.errors import Declined, Misuse
from tests.unit.authority.conftest import PASSPHRASE
from tests.unit.authority.test_kept import child, ended

Own = Callable[..., Authority]
DAY, TEN = dt.timedelta(days=1), dt.timedelta(minutes=10)
NAME = named("spiffe://corp.example/api")


def csr(*names: str, ca: bool = False) -> x509.CertificateSigningRequest:
    it = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    if names:
        it = it.add_extension(x509.SubjectAlternativeName([named(n).general() for n in names]), critical=False)
    if ca:
        it = it.add_extension(x509.BasicConstraints(True, None), critical=True)
    return it.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())


def leaf(pem: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificates(pem)[0]


def test_a_token_becomes_one_certificate_of_its_names_and_kept_is_a_hash(own: Own) -> None:
    it = own()
    token = invite(it, [NAME], "client", DAY, TEN)
    written = (it.at / "index.jsonl").read_bytes()
    assert str(token).split(".")[1].encode() not in written and token.secret not in written
    assert token_of(str(token)) == token and repr(token) == "Token()"
    assert token.root_sha256 == it.generations()[0].root.fingerprint(hashes.SHA256())
    assert len(token.secret) * 8 == 256
    issued = redeem(it, token.secret, csr())
    assert issued.entry.names == (str(NAME),) and issued.entry.ends - issued.entry.begins >= DAY
    with pytest.raises(Unknown):
        redeem(it, token.secret, csr())
    assert len(it.index().entries) == 1


def test_of_fifty_that_show_one_token_at_once_one_gets_a_certificate(own: Own) -> None:
    """K01."""
    it = own()
    token = invite(it, [NAME], "both", DAY, TEN)
    children = [child(lambda: redeem(opened(it.at), token.secret, csr())) for _ in range(50)]
    assert sorted(ended(pid) for pid in children) == [0] + [1] * 49
    assert len(it.index().entries) == 1


def test_a_used_an_expired_and_a_guessed_token_are_refused_alike(own: Own) -> None:
    """K01."""
    it = own()
    used, over = (invite(it, [NAME], "both", DAY, TEN) for _ in range(2))
    redeem(it, used.secret, csr())
    late = replace(it, clock=lambda: it.clock() + TEN)
    told = set()
    for who, secret in [(it, used.secret), (it, os.urandom(32)), (it, b""), (it, used.secret[:-1])]:
        with pytest.raises(Unknown) as e:
            redeem(who, secret, csr())
        told.add(str(e.value))
    it_late = replace(opened(it.at), clock=late.clock)
    with pytest.raises(Unknown) as e:
        redeem(it_late, over.secret, csr())
    assert told == {str(e.value)}
    assert len(it.index().entries) == 1


def test_a_withdrawn_token_becomes_nothing_and_is_refused_as_a_guessed_one(own: Own) -> None:
    """K01."""
    it = own()
    gone, other, also = (invite(it, [name], "both", DAY, TEN) for name in (NAME, named("a.corp.example"), NAME))
    hashed = hashlib.sha256(gone.secret).hexdigest()
    assert [one.sha256 for one in withdraw(it, hashed[:12].upper())] == [hashed]
    told = set()
    for secret in (gone.secret, os.urandom(32)):
        with pytest.raises(Unknown) as e:
            redeem(it, secret, csr())
        told.add(str(e.value))
    assert len(told) == 1
    assert redeem(it, other.secret, csr()).entry.names == ("a.corp.example",)
    assert len(withdraw(it, str(NAME))) == 1
    with pytest.raises(Unknown):
        redeem(it, also.secret, csr())


def test_what_is_no_good_token_is_not_withdrawn_and_what_it_became_stays(own: Own) -> None:
    it = own()
    used, over, kept = (invite(it, [NAME], "both", DAY, ends) for ends in (TEN, TEN / 2, TEN))
    issued = redeem(it, used.secret, csr())
    late = replace(it, clock=lambda: it.clock() + TEN / 2)
    late.keep()
    it_late = replace(opened(it.at), clock=late.clock)
    before = it.index()
    short = hashlib.sha256(kept.secret).hexdigest()[:7]
    for which in [*(hashlib.sha256(one.secret).hexdigest() for one in (used, over)), "b.corp.example", "", short]:
        with pytest.raises(Misuse):
            withdraw(it_late, which)
    assert it.index() == before and issued.entry in it.in_force(before, it.clock())
    assert len(withdraw(it_late, hashlib.sha256(kept.secret).hexdigest()[:8])) == 1


def test_of_a_token_that_is_used_and_withdrawn_at_once_one_happened(own: Own) -> None:
    """K01: either there is a certificate, or the token is withdrawn."""
    it = own()
    for _ in range(10):
        token = invite(it, [NAME], "both", DAY, TEN)
        hashed = hashlib.sha256(token.secret).hexdigest()
        ends = [
            child(partial(lambda secret: redeem(opened(it.at), secret, csr()), token.secret)),
            child(partial(lambda which: withdraw(opened(it.at), which), hashed)),
        ]
        assert sorted(ended(pid) for pid in ends) == [0, 1]
        one = it.index().invitations[hashed]
        assert (one.became is None) != (one.withdrawn is None)


def test_who_asks_for_another_name_gets_nothing_and_the_token_stays_good(own: Own) -> None:
    """K01, K02."""
    it = own()
    token = invite(it, [NAME], "both", DAY, TEN)
    for wrong in (csr("spiffe://corp.example/admin"), csr(str(NAME), "a.corp.example"), csr(ca=True)):
        with pytest.raises(Declined):
            redeem(it, token.secret, wrong)
    assert redeem(it, token.secret, csr(str(NAME))).entry.names == (str(NAME),)


def test_a_token_is_made_for_names_inside_alone_and_not_for_long(own: Own) -> None:
    it = own()
    with pytest.raises(Declined, match="outside"):
        invite(it, [named("evil.example")], "both", DAY, TEN)
    with pytest.raises(Declined, match="a day at most"):
        invite(it, [NAME], "both", DAY, DAY + TEN)
    with pytest.raises(Declined, match="397 days"):
        invite(it, [NAME], "both", 398 * DAY, TEN)
    with pytest.raises(Misuse, match="say for whom"):
        invite(it, [], "both", DAY, TEN)
    assert it.index().invitations == {}
    invite(it, [NAME], "both", DAY, DAY)


def test_names_that_are_outside_by_now_are_not_certified_for_who_was_let_in_before(own: Own) -> None:
    """K02: what the authority is told today counts, and the token stays good for the day on which it is told otherwise."""
    it = own()
    token = invite(it, [NAME], "both", DAY, TEN)
    first = it.issue([NAME], "both", DAY)
    replace(it, policy=told("Inside", ["corp.example"], [], [])).keep()
    narrowed = opened(it.at)
    with pytest.raises(Declined, match="is outside of what"):
        redeem(narrowed, token.secret, csr())
    with pytest.raises(Declined, match="is outside of what"):
        renew(narrowed, leaf(first.chain_pem), csr())
    assert len(narrowed.index().entries) == 1
    it.keep()
    redeem(it, token.secret, csr())


def test_a_certificate_in_force_becomes_another_of_the_same_names_use_and_length(own: Own) -> None:
    it = own()
    first = it.issue([NAME, named("a.corp.example")], "client", DAY)
    second = renew(it, leaf(first.chain_pem), csr())
    assert (second.entry.names, second.entry.use) == (first.entry.names, "client")
    assert second.entry.ends - second.entry.begins == first.entry.ends - first.entry.begins
    assert second.entry.serial != first.entry.serial
    with pytest.raises(Declined):
        renew(it, leaf(first.chain_pem), csr("b.corp.example"))
    with pytest.raises(Declined):
        renew(it, leaf(first.chain_pem), csr(ca=True))


def test_one_that_was_cut_to_the_end_of_its_issuer_becomes_one_of_the_length_that_was_asked_for(own: Own) -> None:
    """Each was as short as the one before, for ever."""
    it = own()
    last_day = it.generations()[0].issuing.not_valid_after_utc - DAY
    late = replace(it, clock=lambda: last_day)
    first = late.issue([NAME], "client", 90 * DAY)
    second = renew(activate(prepare(late, PASSPHRASE)), leaf(first.chain_pem), csr())
    assert (first.is_cut, first.entry.ends) == (True, last_day + DAY)
    assert (second.is_cut, second.entry.ends) == (False, last_day + 90 * DAY)


def test_one_of_which_only_its_length_is_known_becomes_one_of_that_length(own: Own) -> None:
    """As authorities wrote it before."""
    it = own()
    first = it.issue([NAME], "client", DAY)
    path = it.at / "index.jsonl"
    assert path.read_bytes().count(b', "lasts_s": 86400') == 1
    path.write_bytes(path.read_bytes().replace(b', "lasts_s": 86400', b""))
    second = renew(it, leaf(first.chain_pem), csr())
    assert second.entry.ends - second.entry.begins == first.entry.ends - first.entry.begins


def test_a_certificate_that_is_not_in_force_becomes_nothing(own: Own) -> None:
    """K01: taken back, ended, of a retired root, of another authority of the same names."""
    it, other = own(), own(folder="other")
    stranger = leaf(other.issue([NAME], "both", DAY).chain_pem)
    gone = it.issue([NAME], "both", DAY)
    it.revoke(gone.entry.serial, "superseded")
    ended_ = leaf(it.issue([NAME], "both", DAY).chain_pem)
    for shown in (stranger, leaf(gone.chain_pem)):
        with pytest.raises(Unknown):
            renew(it, shown, csr())
    with pytest.raises(Unknown):
        late = it.clock() + DAY
        old = replace(it, clock=lambda: late)
        renew(old, ended_, csr())
    key = ec.generate_private_key(ec.SECP256R1())
    copied = x509.CertificateBuilder().serial_number(ended_.serial_number).public_key(key.public_key())
    copied = copied.subject_name(ended_.subject).issuer_name(ended_.issuer)
    copied = copied.not_valid_before(ended_.not_valid_before_utc).not_valid_after(ended_.not_valid_after_utc)
    with pytest.raises(Unknown):
        renew(it, copied.sign(key, hashes.SHA256()), csr())
    after, _, alive = retire(activate(prepare(it, PASSPHRASE)), force=True)
    assert len(alive) == 1
    with pytest.raises(Unknown):
        renew(after, ended_, csr())


@given(st.text(max_size=120))
def test_no_text_but_a_token_is_one(text: str) -> None:
    try:
        found = token_of(text)
    except Misuse:
        return
    assert str(found) == text


def test_a_token_changed_in_one_letter_is_none_or_another() -> None:
    token = Token(bytes(range(32)), bytes(range(32, 64)))
    text = str(token)
    for at in range(len(text)):
        for letter in "AB._é=\n":
            changed = text[:at] + letter + text[at + 1 :]
            if changed != text:
                with contextlib.suppress(Misuse):
                    assert token_of(changed) != token


@pytest.mark.parametrize(("secret", "root"), [(31, 32), (33, 32), (0, 32), (32, 31), (32, 33), (32, 0)])
def test_a_token_that_is_too_short_or_too_long_is_none(secret: int, root: int) -> None:
    with pytest.raises(Misuse, match="is no token"):
        token_of(str(Token(bytes(secret), bytes(root))))


def test_each_token_is_written_in_one_way() -> None:
    """Two bits of each part's last letter say nothing: of the letters that read alike one is taken."""
    text = str(Token(bytes(range(32)), bytes(range(32, 64))))
    letters = string.ascii_letters + string.digits + "-_"
    mark, secret, root = text.split(".")
    for part in (1, 2):
        taken = []
        for letter in letters:
            parts = [mark, secret, root]
            parts[part] = parts[part][:-1] + letter
            with contextlib.suppress(Misuse):
                taken.append(token_of(".".join(parts)))
        assert len(taken) == len({str(it) for it in taken}) == 16
    for other in ("ehca2", "", "EHCA1"):
        with pytest.raises(Misuse):
            token_of(".".join([other, secret, root]))


def test_who_failed_often_waits_and_nobody_else_does() -> None:
    now = [0.0]
    it = Failures(clock=lambda: now[0])
    for _ in range(FAILURES):
        assert not it.too_many("10.0.0.1")
        it.add("10.0.0.1")
    assert it.too_many("10.0.0.1") and not it.too_many("10.0.0.2")
    now[0] = PER_S + 1
    assert not it.too_many("10.0.0.1") and it.seen == {}
    for n in range(REMEMBERED + 10):
        it.add(str(n))
    assert len(it.seen) == REMEMBERED
    assert whom("fd00::1") == whom("fd00::2") != whom("fd00:0:0:1::1") and whom("10.0.0.1") == "10.0.0.1"

"""What an authority issues, takes back and publishes from day to day: to the last day and name that it may, and not one more."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from everyhop.authority import Authority, activate, begin, opened, prepare, retire
from everyhop.authority.acts import LIST_LASTS
from everyhop.authority.names import named
from everyhop.authority.policy import told
from everyhop.errors import Declined, Misuse, Surroundings
from tests.unit.authority.conftest import PASSPHRASE

Own = Callable[..., Authority]
DAY = dt.timedelta(days=1)
A, B = named("a.corp.example"), named("b.corp.example")


def at(it: Authority, now: dt.datetime) -> Authority:
    return replace(opened(it.at), clock=lambda: now)


def test_a_certificate_lasts_397_days_and_has_100_names_and_one_spiffe_id_at_most(own: Own) -> None:
    it = own()
    issued = it.issue([A], "both", 397 * DAY)
    assert not issued.is_cut and "pem" not in repr(replace(issued, entry=None))  # type: ignore[arg-type]
    many = [named(f"h{n}.corp.example") for n in range(100)]
    assert len(it.issue(many, "both", DAY).entry.names) == 100
    workload = named("spiffe://corp.example/a")
    assert it.issue([workload, A], "both", DAY).entry.names == (str(workload), str(A))
    before = len(it.index().entries)
    with pytest.raises(Declined, match="397 days at most"):
        it.issue([A], "both", 397 * DAY + dt.timedelta(seconds=1))
    for names in ([*many, A], []):
        with pytest.raises(Misuse, match="1 to 100 names"):
            it.issue(names, "both", DAY)
    with pytest.raises(Misuse, match="one SPIFFE ID"):
        it.issue([workload, named("spiffe://corp.example/b")], "both", DAY)
    with pytest.raises(Declined, match="outside"):
        it.issue([A, named("evil.example")], "both", DAY)
    assert len(it.index().entries) == before


def test_what_is_in_force_ends_at_the_moment_that_its_certificate_says(own: Own) -> None:
    it = own()
    issued = it.issue([A], "both", DAY).entry
    assert issued.ends == x509.load_pem_x509_certificate(issued.pem.encode()).not_valid_after_utc
    known, second = it.index(), dt.timedelta(seconds=1)
    assert it.in_force(known, issued.ends - second) == [issued] and it.in_force(known, issued.ends) == []


def revoked(it: Authority) -> list[int]:
    """Serials on all lists."""
    return sorted(one.serial_number for listed in it.published() for one in listed)


def test_one_is_taken_back_by_its_serial_however_it_is_written_and_several_of_a_name_only_when_all_are_meant(
    own: Own,
) -> None:
    it = own()
    first, second, other = (it.issue([name], "both", DAY).entry for name in (A, A, B))
    with pytest.raises(Misuse, match=r"2 certificates in force are of 'a\.corp\.example'") as e:
        it.revoke(str(A), "superseded")
    assert [row.split()[0] for row in e.value.more] == [first.serial, second.serial]
    assert revoked(it) == []
    with pytest.raises(Misuse, match=r"no certificate in force is of 'c\.corp\.example'"):
        it.revoke("c.corp.example", "superseded")
    colons = ":".join(first.serial[n : n + 2] for n in range(0, len(first.serial), 2)).lower()
    (gone,) = it.revoke(colons, "key-compromise")
    assert gone.serial == first.serial and gone.revoked is not None and gone.reason == "key-compromise"
    assert revoked(it) == [int(first.serial, 16)]
    # Of a name that one certificate in force is left of, that one is meant.
    assert [one.serial for one in it.revoke(str(A), "superseded")] == [second.serial]
    third, fourth = (it.issue([A], "both", DAY).entry for _ in range(2))
    assert {one.serial for one in it.revoke(str(A), "superseded", every=True)} == {third.serial, fourth.serial}
    assert it.in_force(it.index(), it.clock()) == [other]
    assert len(revoked(it)) == 4


def test_one_that_is_taken_back_again_is_published_again_and_stays_taken_back_as_it_was(own: Own) -> None:
    it = own()
    entry = it.issue([A], "both", DAY).entry
    (once,) = it.revoke(entry.serial, "superseded")
    before = it.at.joinpath("index.jsonl").read_text()
    (again,) = at(it, it.clock() + DAY / 2).revoke(entry.serial, "superseded")
    assert again == once and it.index().lists == 3
    # The index tells of another list and of nothing else.
    after = it.at.joinpath("index.jsonl").read_text()
    assert "revoked" in before and "revoked" not in after.removeprefix(before)


def test_a_key_that_turns_out_to_be_stolen_after_its_certificate_was_taken_back_is_certified_no_more(own: Own) -> None:
    """K02."""
    it = own()
    first = it.issue([A], "both", DAY)
    key = load_pem_private_key(first.key_pem or b"", None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    names = x509.SubjectAlternativeName([A.general()])
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(names, critical=False)
    anew = csr.sign(key, hashes.SHA256())
    (once,) = it.revoke(first.entry.serial, "superseded")
    second = it.issue([], "both", DAY, anew).entry
    (again,) = at(it, it.clock() + DAY / 2).revoke(first.entry.serial, "key-compromise")
    assert (again.revoked, again.reason) == (once.revoked, "key-compromise")
    with pytest.raises(Declined, match="taken back as stolen"):
        it.issue([], "both", DAY, anew)
    # What was known is not forgotten, and the list says why.
    (still,) = it.revoke(first.entry.serial, "superseded")
    assert still == again and it.in_force(it.index(), it.clock()) == [second]
    (told_of,) = it.published()[1]
    reason = told_of.extensions.get_extension_for_class(x509.CRLReason).value.reason
    assert (reason, told_of.revocation_date_utc) == (x509.ReasonFlags.key_compromise, once.revoked)


def test_a_list_lasts_thirty_days_and_no_longer_than_who_signs_it_and_tells_of_none_that_ended(own: Own) -> None:
    it = own()
    entry = it.issue([A], "both", DAY).entry
    it.revoke(entry.serial, "superseded")
    now = it.clock()
    at(it, now).publish_all()
    _, listed = it.published()
    assert listed.next_update_utc == now + LIST_LASTS == now + 30 * DAY
    second = dt.timedelta(seconds=1)
    for moment, told_of in ((entry.ends - second, 1), (entry.ends, 0)):
        at(it, moment).publish_all()
        assert len(revoked(it)) == told_of
    ends = it.generations()[0].issuing.not_valid_after_utc
    at(it, ends - DAY).publish_all()
    assert {one.next_update_utc for one in it.published()} == {ends}
    at(it, ends).publish_all()
    assert it.published() == []


def test_lists_and_roots_are_written_wherever_they_are_published(own: Own, tmp_path: Path) -> None:
    own()
    places = [tmp_path / name for name in ("one", "two", "ca")]
    for place in places[:2]:
        place.mkdir()
    it = replace(opened(tmp_path / "ca"), publish=(str(places[0]),))
    it.keep()
    written = opened(it.at).publish_all(also=[places[1]])
    assert {*written} == {place / file for place in places for file in ("roots.pem", "crl.pem")}
    assert len({(place / "crl.pem").read_bytes() for place in places}) == 1
    assert all((path.stat().st_mode & 0o777) == 0o644 for path in written)


def test_what_is_taken_back_and_not_published_everywhere_is_told_as_such_and_stays_taken_back(
    own: Own, tmp_path: Path
) -> None:
    """Whoever reads that it failed does not take it for one that is in force."""
    replace(own(), publish=(str(tmp_path / "gone"),)).keep()
    it = opened(tmp_path / "ca")
    serial = it.issue([A], "both", DAY).entry.serial
    with pytest.raises(Surroundings, match=r"taken back, and not published everywhere: cannot write .*/gone/") as e:
        it.revoke(serial, "superseded")
    assert e.value.more == ("  then: everyhop ca crl DIR",)
    assert it.index().entries[serial].revoked is not None and revoked(it) == [int(serial, 16)]
    (tmp_path / "gone").mkdir()
    it.publish_all()
    assert (tmp_path / "gone/crl.pem").read_bytes() == (it.at / "crl.pem").read_bytes()


def test_no_two_certificates_have_one_serial(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    it = own()
    numbers = iter([0xA, 0xA, 0xA, 0xB])
    monkeypatch.setattr(x509, "random_serial_number", lambda: next(numbers))
    assert [it.issue([name], "both", DAY).entry.serial for name in (A, B)] == ["0A", "0B"]
    assert {serial: one.names for serial, one in it.index().entries.items()} == {"0A": (str(A),), "0B": (str(B),)}


def test_a_certificate_of_a_retired_generation_is_in_force_for_nobody_and_on_no_list(own: Own) -> None:
    it = own()
    old = it.issue([A], "both", DAY).entry
    it = activate(prepare(it, PASSPHRASE))
    new = it.issue([A], "both", DAY).entry
    assert (old.generation, new.generation) == (1, 2)
    assert it.in_force(it.index(), it.clock()) == [old, new]
    it.revoke(old.serial, "superseded")
    assert revoked(it) == [int(old.serial, 16)]
    it, gone, alive = retire(it)
    assert (gone, alive, it.trusted) == ([1], [], (2,)) and revoked(it) == []
    assert it.in_force(it.index(), it.clock()) == [new]


def test_whoever_read_it_before_another_changed_it_does_nothing(own: Own) -> None:
    it = own()
    activate(prepare(it, PASSPHRASE))
    for act in (lambda: it.issue([A], "both", DAY), lambda: it.revoke("00", "superseded"), it.publish_all):
        with pytest.raises(Surroundings, match="another process changed the authority meanwhile"):
            act()
    assert opened(it.at).index().entries == {}


def test_none_is_made_where_something_is_or_opened_where_none_is(tmp_path: Path) -> None:
    policy = told("Inside", ["corp.example"], [], [])
    (full := tmp_path / "full").mkdir()
    (full / "x").write_text("kept")
    (file := tmp_path / "file").write_text("kept")
    for place in (full, file):
        with pytest.raises(Surroundings, match="is there already and not empty"):
            begin(place, policy, PASSPHRASE)
    assert (full / "x").read_text() == file.read_text() == "kept"
    with pytest.raises(Surroundings, match=r"cannot make .*/file/ca: "):
        begin(file / "ca", policy, PASSPHRASE)
    (empty := tmp_path / "empty").mkdir()
    begin(empty, policy, PASSPHRASE)
    it = begin(tmp_path / "a/b/c", policy, PASSPHRASE)
    assert it.at == tmp_path / "a/b/c" and it.at.stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "empty", "file", "full"]
    for place, why in ((tmp_path / "absent", "No such file"), (file, "is no folder of an authority"), (full, None)):
        full.chmod(0o700)
        with pytest.raises(Surroundings, match=why or "holds no authority"):
            opened(place)


def test_a_state_that_is_damaged_is_told_as_such(own: Own) -> None:
    it = own()
    path = it.at / "authority.json"
    whole = path.read_text()
    for damaged in (whole.replace('"active"', '"actve"'), whole[:-4], "[]"):
        path.write_text(damaged)
        with pytest.raises(Surroundings, match="is damaged"):
            opened(it.at)
    assert '"version": 1,' in whole
    path.write_text(whole.replace('"version": 1,', '"version": 2,'))
    with pytest.raises(Surroundings, match="is of version 2, and this Everyhop knows 1"):
        opened(it.at)

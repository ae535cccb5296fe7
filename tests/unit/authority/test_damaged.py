"""What an authority finds damaged in its own folder, or cannot write there, is told with the file and why; nothing is done by half."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from everyhop.authority import Authority, generation
from everyhop.authority.enrolment import invite
from everyhop.authority.folder import closed
from everyhop.authority.names import named
from everyhop.errors import Surroundings
from tests.unit.authority.conftest import PASSPHRASE
from tests.unit.authority.test_kept import DAY

Own = Callable[..., Authority]
NAMES = [named("a.corp.example")]


def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    """K03: who owns it could put in keys of their own."""
    theirs = Path("/")
    if os.geteuid() == 0:
        (theirs := tmp_path / "theirs").mkdir(mode=0o700)
        os.chown(theirs, 65534, -1)
    with pytest.raises(Surroundings, match=rf"{theirs} belongs to another user \(uid {theirs.stat().st_uid}\)") as e:
        closed(theirs)
    assert e.value.more == (f"  act as that user, or own it: chown -R {os.geteuid()} {theirs}",)


def test_an_issuing_key_that_is_none_or_of_another_kind_is_told_and_nothing_is_issued(own: Own) -> None:
    it = own()
    path = it.at / "1/issuing.key"
    other = ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for data, why in ((b"nonsense", "it holds no PEM key"), (other, "it holds a key of another kind")):
        path.write_bytes(data)
        with pytest.raises(Surroundings, match=f"{path} is damaged: {why}"):
            it.issue(NAMES, "both", DAY)
    assert it.index().entries == {}


@pytest.mark.parametrize("file", ["root.pem", "issuing.pem", "root.crl.pem"])
def test_a_generation_of_which_something_is_damaged_or_gone_is_told(own: Own, file: str) -> None:
    it = own()
    (path := it.at / "1" / file).write_bytes(b"nonsense")
    with pytest.raises(Surroundings, match=f"{it.at / '1'} is damaged: .+") as e:
        it.issue(NAMES, "both", DAY)
    assert e.value.more == ("  put back the last copy of it",)
    path.unlink()
    with pytest.raises(Surroundings, match=f"^{path} cannot be read: No such file"):
        it.issue(NAMES, "both", DAY)


def test_a_generation_is_not_made_where_nothing_can_be_written(own: Own, tmp_path: Path) -> None:
    it = own()
    with pytest.raises(Surroundings, match=f"cannot write in {tmp_path / 'gone'}: No such file"):
        generation.make(tmp_path / "gone", 1, it.policy, PASSPHRASE, it.clock(), None)
    before = sorted(it.at.iterdir())
    (it.at / "2").write_bytes(b"kept")
    with pytest.raises(Surroundings, match=f"cannot write in {it.at}: "):
        generation.make(it.at, 2, it.policy, PASSPHRASE, it.clock(), None)
    assert sorted(it.at.iterdir()) == sorted([*before, it.at / "2"]) and (it.at / "2").read_bytes() == b"kept"


def test_an_index_that_is_gone_stops_everything_and_nobody_who_was_taken_back_is_forgotten(own: Own) -> None:
    """It was taken for that of an authority that never issued anything, and its next list took nobody back."""
    it = own()
    serial = it.issue(NAMES, "both", DAY).entry.serial
    it.revoke(serial, "superseded")
    (path := it.at / "index.jsonl").rename(it.at / "away")
    acts = (lambda: it.issue(NAMES, "both", DAY), it.publish_all, lambda: invite(it, NAMES, "both", DAY, DAY), it.index)
    for lost in (None, b"", b'{"event": "list", '):
        if lost is not None:
            path.write_bytes(lost)
        for act in acts:
            with pytest.raises(Surroundings, match=f"{path} is gone, or empty; nothing was done") as e:
                act()
            assert "put back the last copy of it" in e.value.more[0]
    (it.at / "away").rename(path)
    assert [one.serial_number for one in it.published()[1]] == [int(serial, 16)]
    it.publish_all()
    assert [one.serial_number for one in it.published()[1]] == [int(serial, 16)]


def test_an_index_that_has_grown_for_years_is_still_read(own: Own) -> None:
    """From 64 MiB on nothing could be issued or taken back, and nothing makes it smaller."""
    it = own()
    serial = it.issue(NAMES, "both", DAY).entry.serial
    with (it.at / "index.jsonl").open("ab") as file:
        file.write(b'{"event": "begun", "more": "' + b"x" * (64 << 20) + b'"}\n')
    assert [*it.index().entries] == [serial]


def test_a_line_of_the_index_that_tells_of_what_nobody_knows_is_damaged(own: Own) -> None:
    """Who was taken back by it would be in force."""
    it = own()
    it.revoke(it.issue(NAMES, "both", DAY).entry.serial, "superseded")
    path = it.at / "index.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"revoked"', b'"rewoked"'))
    with pytest.raises(Surroundings, match=f"{path}:4 is damaged"):
        it.index()


def test_a_lock_that_cannot_be_opened_is_told_and_nothing_is_done(own: Own) -> None:
    """It was an error of ours, as on every disk that became read-only."""
    it = own()
    (it.at / "lock").unlink()
    (it.at / "lock").mkdir()
    with pytest.raises(Surroundings, match=f"cannot write {it.at / 'lock'}: Is a directory; nothing was done"):
        it.issue(NAMES, "both", DAY)
    assert it.index().entries == {}

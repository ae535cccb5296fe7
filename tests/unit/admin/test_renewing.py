"""An identity by `from = "ca"`, with a real authority and a clock that is moved: what comes replaces what is there, and what does not
come leaves it."""

from __future__ import annotations

import datetime as dt
import errno
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from everyhop.admin.renewing import ASK_S, Renewer
from everyhop.admin.standing import FIRST_S, JITTER, MOST_S
from everyhop.errors import Surroundings
from everyhop.model import CaIdentity
from tests.kit.own_ca import OwnCa, Served

pytestmark = pytest.mark.thorough
NAME = "spiffe://corp.example/edge"
TOLD = ("--domain", "corp.example", "--trust-domain", "corp.example", "--network", "127.0.0.0/8")


class Ground:
    def __init__(self, own: OwnCa, served: Served, folder: Path) -> None:
        self.own, self.served, self.folder = own, served, folder
        self.now = dt.datetime.now(dt.UTC)
        given = {"name": "own", "from": "ca", "authority": f"127.0.0.1:{served.port}", "token": "file:token"}
        self.it = Renewer(CaIdentity.model_validate(given), folder, clock=lambda: self.now, lot=lambda: 0.0)

    def token(self, text: str | None = None) -> str:
        text = text or self.own.does("token", NAME).strip()
        (path := self.folder / "token").touch(0o600)
        path.write_text(f"{text}\n")
        return text

    def serial(self) -> int:
        return x509.load_pem_x509_certificates(self.it.held.pair.read_bytes())[0].serial_number

    def later(self, **span: float) -> None:
        self.now += dt.timedelta(**span)


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    own = OwnCa(tmp_path, *TOLD)
    served = own.served()
    yield Ground(own, served, tmp_path)
    if served.process.poll() is None:
        assert served.stop() == 0


def test_it_is_renewed_at_half_of_its_life_by_itself_and_not_before(ground: Ground) -> None:
    ground.token()
    assert ground.it.step() == ASK_S
    first = ground.serial()
    ground.later(days=14, hours=23)
    ground.it.step()
    assert ground.serial() == first
    ground.later(hours=2)
    ground.it.step()
    assert (ground.serial() != first, ground.it.standing.problem) == (True, None)
    assert [one["names"] for one in ground.own.list()["certificates"]].count([NAME]) == 2


def test_one_that_is_away_or_took_it_back_is_told_in_its_words_and_what_is_there_stays(ground: Ground) -> None:
    """K01, K04."""
    ground.token()
    ground.it.step()
    first = ground.serial()
    ground.later(days=16)
    ground.own.does("revoke", f"{first:X}")
    ground.it.step()
    said = ground.it.standing
    assert "answered 403" in str(said.problem) and said.until is not None and ground.serial() == first
    assert ground.served.stop() == 0
    waits = []
    for _ in range(12):
        waits.append(ground.it.step())
        assert "did not answer" in str(ground.it.standing.problem)
    assert waits == sorted(waits) and waits[0] >= FIRST_S and waits[-1] == MOST_S <= MOST_S * (1 + JITTER)
    assert ground.serial() == first


def test_a_token_that_is_used_none_or_of_another_name_is_told_in_a_sentence_and_another_one_is_taken(
    ground: Ground, tmp_path: Path
) -> None:
    """K01."""
    used = ground.token()
    ground.it.step()
    first = ground.serial()
    other = Ground(ground.own, ground.served, tmp_path / "other")
    other.folder.mkdir()
    guessed = f"{used[: used.index('.') + 1]}{'A' * 43}{used[used.rindex('.') :]}"
    for text in (used, guessed):
        other.token(text)
        other.it.step()
        assert "answered 403: that token or certificate is not good" in str(other.it.standing.problem)
        assert not other.it.held.pair.exists()
    other.token("hunter2")
    other.it.step()
    assert "no token of everyhop ca token" in str(other.it.standing.problem)
    assert "hunter2" not in str(other.it.standing.problem)
    other.token()
    other.it.step()
    assert other.it.standing.problem is None and other.serial() != first
    assert ground.serial() == first


def test_one_that_is_over_is_enrolled_anew_where_there_is_another_token(ground: Ground) -> None:
    ground.token()
    ground.it.step()
    first = ground.serial()
    ground.later(days=31)
    ground.token()
    ground.it.step()
    assert (ground.serial() != first, ground.it.standing.problem) == (True, None)


def test_roots_and_lists_are_followed_between_renewals_and_two_sets_are_kept_at_most(ground: Ground) -> None:
    ground.token()
    ground.it.step()
    first = ground.serial()
    for _ in range(3):
        leaf = ground.own.does("issue", "gone.corp.example", "--out", str(ground.folder / "gone"))
        assert leaf
        serial = x509.load_pem_x509_certificates((ground.folder / "gone.pem").read_bytes())[0].serial_number
        ground.own.does("revoke", f"{serial:X}")
        ground.it.step()
        assert ground.it.held.lists.read_bytes() == ground.own.lists.read_bytes()
    ground.own.does("rotate", "--passphrase-file", str(ground.own.passphrase))
    ground.it.step()
    assert ground.it.held.roots.read_bytes() == ground.own.roots.read_bytes()
    assert ground.serial() == first
    assert len(list(ground.it.held.at.glob("set-*"))) == 2


def test_a_folder_that_others_can_use_is_given_no_key(ground: Ground) -> None:
    """K03."""
    ground.token()
    ground.it.held.at.mkdir(parents=True)
    ground.it.held.at.chmod(0o755)
    ground.it.step()
    assert "can be used by others" in str(ground.it.standing.problem)
    assert list(ground.it.held.at.iterdir()) == []
    ground.it.held.at.chmod(0o700)
    ground.it.step()
    assert ground.it.standing.problem is None


def test_roots_that_were_spoiled_are_told_and_it_does_not_cease(ground: Ground) -> None:
    """Its thread ended, and nobody renewed anything any more."""
    ground.token()
    ground.it.step()
    whole = ground.it.held.roots.read_bytes()
    for spoiled in (b"", b"\xff"):
        ground.it.held.roots.write_bytes(spoiled)
        assert ground.it.step() >= FIRST_S
        assert "cannot be read; nothing was said to it" in (ground.it.standing.problem or "")
    ground.it.held.roots.write_bytes(whole)
    assert ground.it.step() == ASK_S and ground.it.standing.problem is None


def issued(ground: Ground) -> list[str]:
    return [one["serial"] for one in ground.own.list()["certificates"] if one["names"] == [NAME]]


def test_what_was_given_and_could_not_be_kept_is_kept_at_the_next_step(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token that was used by then, and a renewal, which gave another certificate at each step."""

    def full(*_: object) -> None:
        raise Surroundings("cannot write pair.pem: No space left on device")

    ground.token()
    for n in (1, 2):
        before = sorted(ground.it.held.at.glob("set-*"))
        with monkeypatch.context() as patch:
            patch.setattr("everyhop.authority.held.replace_all", full)
            for _ in range(2):
                assert ground.it.step() >= FIRST_S
                assert "No space left on device" in str(ground.it.standing.problem)
                assert sorted(ground.it.held.at.glob("set-*")) == before
        assert len(issued(ground)) == n
        ground.it.step()
        assert ground.it.standing.problem is None
        assert len(issued(ground)) == n and ground.serial() in {int(it, 16) for it in issued(ground)}
        ground.later(days=16)


def test_nothing_is_asked_for_a_folder_that_takes_nothing(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    ground.token()
    for n in (0, 1):
        with monkeypatch.context() as patch:
            patch.setattr("everyhop.files.tempfile.NamedTemporaryFile", full)
            ground.it.step()
        assert str(ground.it.standing.problem).endswith("No space left on device; nothing was asked")
        assert len(issued(ground)) == n
        ground.it.step()
        assert (len(issued(ground)), ground.it.standing.problem) == (n + 1, None)
        ground.later(days=16)

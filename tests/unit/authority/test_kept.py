"""What an authority holds on to: two at once wait for each other, a death at any step leaves a folder that works, and what others can
read is not used."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import re
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509

from everyhop.authority import Authority, activate, begin, opened, prepare, retire
from everyhop.authority import folder as folder_
from everyhop.authority.enrolment import invite
from everyhop.authority.names import named
from everyhop.authority.policy import told
from everyhop.errors import EveryhopError, Misuse, Surroundings

DAY = dt.timedelta(days=1)
NAME = "a.corp.example"
PASSPHRASE = b"correct horse battery"
Own = Callable[..., Authority]


def child(act: Callable[[], object]) -> int:
    """A process of its own that does it and ends at once, whatever the tests around it hold."""
    pid = os.fork()
    if pid == 0:
        code = 1
        with contextlib.suppress(BaseException):
            act()
            code = 0
        os._exit(code)
    return pid


def ended(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def issue(it: Authority, out: Path | None = None) -> None:
    issued = it.issue([named(NAME)], "both", DAY)
    if out is not None:
        folder_.replace(out, issued.chain_pem, 0o644)


def test_fifty_processes_at_once_get_fifty_serials_and_each_is_in_the_index(own: Own, tmp_path: Path) -> None:
    it = own()
    children = [child(lambda n=n: issue(opened(it.at), tmp_path / f"{n}.pem")) for n in range(50)]  # type: ignore[misc]
    assert [ended(pid) for pid in children] == [0] * 50
    serials = {
        x509.load_pem_x509_certificates((tmp_path / f"{n}.pem").read_bytes())[0].serial_number for n in range(50)
    }
    assert len(serials) == 50
    assert {int(s, 16) for s in it.index().entries} == serials


def test_fifty_processes_that_take_one_back_at_once_take_it_back_once(own: Own) -> None:
    it = own()
    serial = it.issue([named(NAME)], "both", DAY).entry.serial
    children = [child(lambda: opened(it.at).revoke(serial, "superseded")) for _ in range(50)]
    assert [ended(pid) for pid in children] == [0] * 50
    assert sum('"revoked"' in line for line in (it.at / "index.jsonl").read_text().splitlines()) == 1
    (told_of,) = it.published()[1]
    assert told_of.serial_number == int(serial, 16)


def test_of_many_that_begin_a_rotation_at_once_one_does(own: Own) -> None:
    it = own()
    children = [child(lambda: prepare(opened(it.at), PASSPHRASE)) for _ in range(10)]
    assert sorted(ended(pid) for pid in children) == [0] + [1] * 9
    assert opened(it.at).trusted == (1, 2)
    assert (it.at / "roots.pem").read_text().count("BEGIN CERT") == 2


STEPS = ("fsync", "rename", "replace", "pwrite", "ftruncate", "fchmod")


def dies_at(step: int, monkey: pytest.MonkeyPatch) -> None:
    """From now on this process is killed before the call of that number among those that change the disk."""
    left = [step]

    def before(real: Callable[..., object]) -> Callable[..., object]:
        def called(*args: object, **more: object) -> object:
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return real(*args, **more)

        return called

    for name in STEPS:
        monkey.setattr(os, name, before(getattr(os, name)))


def works(at: Path, out: Path) -> None:
    """All that was given out is in the index, and everything goes on."""
    it = opened(at)
    if out.exists():
        (given, _) = x509.load_pem_x509_certificates(out.read_bytes())
        assert given.serial_number in {int(s, 16) for s in it.index().entries}
    before = len(it.index().entries)
    again = it.issue([named(NAME)], "both", DAY)
    assert len(it.index().entries) == before + 1
    it.revoke(again.entry.serial, "superseded")
    taken_back = {int(e.serial, 16) for e in it.index().entries.values() if e.revoked and e.generation in it.trusted}
    assert taken_back == {one.serial_number for lists in it.published() for one in lists}
    numbers = [x.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number for x in it.published()]
    assert numbers[-1] == it.index().lists


ACTS: dict[str, Callable[[Authority, Path], object]] = {
    "issue": lambda it, out: issue(it, out),
    "revoke": lambda it, _: it.revoke(NAME, "key-compromise"),
    "rotate": lambda it, _: prepare(it, PASSPHRASE),
    "activate": lambda it, _: activate(it),
    "retire": lambda it, _: retire(it, force=True),
    "token": lambda it, _: invite(it, [named(NAME)], "both", DAY, DAY),
}
NEEDS = {"revoke": 1, "activate": 2, "retire": 3}
"""How far it went before."""


@pytest.mark.parametrize("act", ACTS)
def test_a_death_at_any_step_leaves_an_authority_that_works_and_loses_nothing(
    own: Own, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    base = own()
    if NEEDS.get(act, 0) >= 1:
        issue(base)
    if NEEDS.get(act, 0) >= 2:
        base = prepare(base, PASSPHRASE)
    if NEEDS.get(act, 0) >= 3:
        base = activate(base)
    for step in range(200):
        at, out = tmp_path / f"{step}" / "ca", tmp_path / f"{step}" / "out.pem"
        shutil.copytree(base.at, at)
        at.chmod(0o700)

        def dying(at: Path = at, out: Path = out, step: int = step) -> None:
            it = opened(at)
            dies_at(step, monkeypatch)
            ACTS[act](it, out)

        code = ended(child(dying))
        works(at, out)
        if act == "revoke" and code == 0:
            assert sum(e.revoked is not None for e in opened(at).index().entries.values()) == 2
        if code == 0:
            assert step >= 3
            return
        assert code == -signal.SIGKILL, (step, code)
    raise AssertionError("it never ended")


def test_a_death_at_any_step_of_making_one_leaves_none_or_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = told("Inside", ["corp.example"], [], [])
    for step in range(200):
        at = tmp_path / f"{step}" / "ca"

        def dying(at: Path = at, step: int = step) -> None:
            dies_at(step, monkeypatch)
            begin(at, policy, PASSPHRASE)

        code = ended(child(dying))
        if not at.exists():
            begin(at, policy, PASSPHRASE)
        works(at, tmp_path / "none")
        if code == 0:
            assert step > 15
            return
        assert code == -signal.SIGKILL, (step, code)
    raise AssertionError("it never ended")


def test_half_a_line_at_the_end_tells_of_nothing_and_one_in_the_middle_stops_everything(own: Own) -> None:
    it = own()
    issue(it)
    path = it.at / "index.jsonl"
    whole = path.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    for cut in range(1, len(last), 37):
        path.write_bytes(whole + last[:cut])
        assert len(it.index().entries) == 1
    issue(it)
    assert path.read_bytes().startswith(whole) and len(it.index().entries) == 2
    path.write_bytes(whole.replace(b'"serial"', b'"serail"') + last)
    with pytest.raises(Surroundings, match=r"index\.jsonl:3 is damaged"):
        issue(it)


def test_a_disk_that_is_full_leaves_what_was_there(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    it = own()
    before = (it.at / "index.jsonl").read_bytes()

    def full(handle: int, data: bytes, at: int) -> int:
        if len(data) > 10:
            return real(handle, data[:10], at)
        raise OSError(28, "No space left on device")

    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(Surroundings, match="No space left"):
        issue(it)
    monkeypatch.undo()
    assert (it.at / "index.jsonl").read_bytes() == before
    issue(it)


@pytest.mark.parametrize("mode", [0o750, 0o705, 0o770, 0o702, 0o701])
def test_a_folder_that_others_can_use_is_refused_with_the_mend(own: Own, mode: int) -> None:
    it = own()
    it.at.chmod(mode)
    with pytest.raises(Surroundings) as e:
        opened(it.at)
    assert f"mode {mode:04o}" in str(e.value) and f"chmod 700 {it.at}" in e.value.more[0]
    it.at.chmod(0o700)
    opened(it.at)


@pytest.mark.parametrize("file", ["1/issuing.key", "1/root.key", "authority.json"])
def test_a_key_that_others_can_read_is_not_used(own: Own, file: str) -> None:
    it = own()
    assert (it.at / file).stat().st_mode & 0o077 == 0
    (it.at / file).chmod(0o640)
    with pytest.raises(Surroundings, match="can be used by others"):
        issue(opened(it.at)) if "root" not in file else prepare(it, PASSPHRASE, keep_root=True)


def test_the_roots_key_is_in_no_file_but_locked_and_in_no_memory_once_it_is_made(own: Own) -> None:
    """K03: what lies there is the issuing key, and whoever would take it finds the root's behind a passphrase."""
    it = own()
    files = {p: p.read_bytes() for p in it.at.rglob("*") if p.is_file()}
    holding = [p.name for p, data in files.items() if b"PRIVATE KEY-----" in data]
    assert sorted(holding) == ["issuing.key", "root.key"]
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in files[it.at / "1" / "root.key"]
    assert all(p.stat().st_mode & 0o077 == 0 for p in files if p.name in holding)
    with pytest.raises(Misuse, match="does not open"):
        prepare(it, b"another passphrase", keep_root=True)
    (it.at / "1" / "root.key").unlink()
    issue(it)
    it.revoke(NAME, "superseded")
    activate(prepare(it, PASSPHRASE))


def test_a_new_issuing_authority_stands_below_the_root_that_is_trusted_already(own: Own, tmp_path: Path) -> None:
    it = own()
    roots = (it.at / "roots.pem").read_bytes()
    away = tmp_path / "root.key"
    shutil.move(it.at / "1" / "root.key", away)
    it = activate(prepare(it, PASSPHRASE, keep_root=True, root_key=away))
    assert (it.at / "roots.pem").read_bytes() == roots
    issued = it.issue([named(NAME)], "both", DAY)
    (leaf, issuer) = x509.load_pem_x509_certificates(issued.chain_pem)
    leaf.verify_directly_issued_by(issuer)
    issuer.verify_directly_issued_by(x509.load_pem_x509_certificate(roots))
    assert len(it.published()) == 3 and len({x.issuer for x in it.published()}) == 3
    it, gone, alive = retire(it)
    assert (gone, alive) == ([1], []) and len(it.published()) == 2
    other = prepare(it, PASSPHRASE)
    with pytest.raises(Misuse, match="is not the key of"):
        prepare(replace(activate(other)), PASSPHRASE, keep_root=True, root_key=away)


def test_an_issuing_authority_that_is_retired_is_on_its_roots_list_from_then_on_and_stays_there(own: Own) -> None:
    """Whoever has its key could go on certifying, and who holds the root alone would believe it."""

    def of_root(it: Authority) -> tuple[set[int], int]:
        listed = it.published()[0]
        assert listed.issuer == it.generations()[0].root.subject
        number = listed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        return {one.serial_number for one in listed}, number

    it = own()
    serials = [it.generations()[0].issuing.serial_number]
    gone, number = of_root(it)
    assert gone == set()
    for _ in range(2):
        before = gone
        it = activate(prepare(it, PASSPHRASE, keep_root=True, root_key=it.at / "1" / "root.key"))
        gone, now = of_root(it)
        assert (gone, now > number) == (before, True), "both are believed meanwhile"
        it, _, _ = retire(it)
        gone, number = of_root(it)
        assert (gone, number > now) == ({*serials}, True)
        serials.append(it.generations()[0].issuing.serial_number)
    it.publish_all()
    assert of_root(it) == (gone, number)


def test_who_signed_the_lists_comes_along_with_them(own: Own) -> None:
    it = prepare(own(), PASSPHRASE)
    along = x509.load_pem_x509_certificates((it.at / "crl.pem").read_bytes())
    assert along == [g.issuing for g in it.generations()]


def test_lists_are_made_after_an_authority_ended_as_well(own: Own) -> None:
    it = activate(prepare(own(), PASSPHRASE))
    first, second = it.generations()
    between = first.issuing.not_valid_after_utc + DAY
    assert between > second.issuing.not_valid_after_utc
    late = replace(it, clock=lambda: between)
    late.publish_all()
    assert late.published() == []
    with pytest.raises(EveryhopError):
        late.issue([named(NAME)], "both", DAY)


def test_of_files_that_belong_together_the_one_that_cannot_be_written_is_named_and_none_is_changed(
    tmp_path: Path,
) -> None:
    (tmp_path / "first").write_bytes(b"as it was")
    (tmp_path / "second").mkdir()
    with pytest.raises(Surroundings, match=re.escape(f"cannot write {tmp_path / 'second'}: ")):
        folder_.replace_all((tmp_path / "second", b"new", 0o644), (tmp_path / "first", b"new", 0o644))
    assert (tmp_path / "first").read_bytes() == b"as it was"
    assert {it.name for it in tmp_path.iterdir()} == {"first", "second"}
    gone = tmp_path / "gone" / "first"
    with pytest.raises(Surroundings, match=re.escape(f"cannot write {gone}: No such file")):
        folder_.replace_all((gone, b"new", 0o644), (tmp_path / "first", b"new", 0o644))


def test_a_file_of_the_folder_that_is_gone_or_none_is_told_with_why(tmp_path: Path) -> None:
    with pytest.raises(Surroundings, match=re.escape(f"{tmp_path / 'gone'} cannot be read: No such file")):
        folder_.content(tmp_path / "gone")
    with pytest.raises(Surroundings, match=re.escape(f"{tmp_path} cannot be read: ")):
        folder_.content(tmp_path)

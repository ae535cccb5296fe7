"""How a guard comes to its certificate, as far as nobody is asked: what a token is said by, and which certificate it can live by."""

from __future__ import annotations

import datetime as dt
import errno
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from everyhop.authority.client import Given
from everyhop.authority.enrolment import Token
from everyhop.authority.held import Held
from everyhop.cli.guard_enrol import Asked, asked, called, enrolled, fits, token_for, told, workload
from everyhop.demo.certificates import Authority
from everyhop.errors import Declined, Misuse, Surroundings
from tests.kit.forge import BOTH, HOUR, Signer, crl, forged, root

TOKEN = Token(bytes(range(32)), bytes(32))
SERVER, CLIENT = BOTH
ID = "spiffe://corp.example/a"


@pytest.fixture
def top(tmp_path: Path) -> Signer:
    return root(Authority(tmp_path, "A"))


def test_an_authority_is_asked_where_it_is_said_to_be_and_a_token_is_named_from_where_it_was_said() -> None:
    assert asked("ca.test:7443") == Asked("ca.test", 7443)
    assert asked(f"{TOKEN}@ca.test:7443") == Asked("ca.test", 7443, token=TOKEN)
    assert asked("file:t@ca.test:7443").reference == f"file:{Path('t').absolute()}"
    for reference in ("env:TOKEN", "cred:token", "file:/a@b"):
        it = asked(f"{reference}@[::1]:7443")
        assert (it.host, it.port, it.reference, it.token, it.authority) == ("::1", 7443, reference, None, "[::1]:7443")
    assert asked("ca.test:7443").authority == "ca.test:7443"
    assert TOKEN.secret.hex() not in repr(asked(f"{TOKEN}@ca.test:7443")) and str(TOKEN) not in repr(
        asked(f"{TOKEN}@a:1")
    )
    with pytest.raises(Misuse):
        asked("nonsense@ca.test:7443")


def test_a_token_is_what_was_said_or_what_stands_where_it_was_said_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert token_for(Asked("a", 1)) is None and token_for(Asked("a", 1, token=TOKEN)) == TOKEN
    (tmp_path / "t").touch(0o600)
    (tmp_path / "t").write_text(f"{TOKEN}\n")
    assert token_for(Asked("a", 1, f"file:{tmp_path}/t")) == TOKEN
    monkeypatch.setenv("GUARD_TOKEN", str(TOKEN))
    assert token_for(Asked("a", 1, "env:GUARD_TOKEN")) == TOKEN
    (tmp_path / "t").chmod(0o644)
    for reference, why in ((f"file:{tmp_path}/t", "can be used by others"), ("env:GUARD_NONE", "has no GUARD_NONE")):
        with pytest.raises(Surroundings, match=why) as refusal:
            token_for(Asked("a", 1, reference))
        assert "the key's PEM" not in str(refusal.value) + "".join(map(str, refusal.value.args))


def test_a_guard_lives_by_a_certificate_for_servers_and_clients_of_the_name_that_was_said(top: Signer) -> None:
    uri = x509.UniformResourceIdentifier(ID)
    leaf = forged("a.test", top, names=["a.test", uri]).cert
    for name in (None, "a.test", ID):
        fits(leaf, name, "mend")
    with pytest.raises(Declined, match=rf"is of a\.test, {ID}, not of b\.test"):
        fits(leaf, "b.test", "mend")
    for usages, why in (
        ((CLIENT,), "for clients alone, and edges would believe no server by it"),
        ((SERVER,), "for servers alone, and could not be renewed by itself"),
        (None, "for clients alone"),
        ((ExtendedKeyUsageOID.CODE_SIGNING,), "for clients alone"),
    ):
        with pytest.raises(Declined, match=why):
            fits(forged("a.test", top, names=["a.test"], usages=usages).cert, None, "mend")


def test_a_certificate_is_called_by_its_names_and_its_workload(top: Signer) -> None:
    uri = x509.UniformResourceIdentifier(ID)
    for names, words, one in (
        (["a.test", "b.test"], "a.test, b.test", None),
        (["a.test", uri], f"a.test, {ID}", ID),
        ([uri], ID, ID),
        ([], "nobody", None),
    ):
        leaf = forged("a.test", top, names=names).cert  # type: ignore[arg-type]
        assert (called(leaf), workload(leaf)) == (words, one)
        assert told(leaf) == f"a certificate of {words} until {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"


def kept(folder: Path, it: Signer, top: Signer) -> None:
    key = it.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    held = Held(folder)
    with held.alone():
        lists = crl(folder / "list.pem", top).read_bytes()
        held.keep(key + it.cert.public_bytes(Encoding.PEM), top.cert.public_bytes(Encoding.PEM), lists)


def test_a_certificate_in_force_is_gone_on_with_and_nobody_is_asked(
    tmp_path: Path, top: Signer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("everyhop.cli.guard_enrol.client.enroll", lambda *_: pytest.fail("a token is good once"))
    it = forged("a.test", top, names=["a.test"])
    kept(tmp_path / "held", it, top)
    assert enrolled(Asked("ca.test", 1, token=TOKEN), tmp_path / "held", "a.test") == it.cert
    assert "goes on with a certificate of a.test" in capsys.readouterr().out
    with pytest.raises(Declined, match=r"not of b\.test"):
        enrolled(Asked("ca.test", 1, token=TOKEN), tmp_path / "held", "b.test")


def test_without_a_token_a_certificate_is_there_or_is_asked_for(tmp_path: Path, top: Signer) -> None:
    with pytest.raises(Misuse, match=r"has none in .*: say --enroll TOKEN@ca\.test:1"):
        enrolled(Asked("ca.test", 1), tmp_path / "empty", None)
    over = forged("a.test", top, names=["a.test"], begins=-2 * HOUR, ends=-HOUR)
    kept(tmp_path / "held", over, top)
    with pytest.raises(Misuse, match=f"one that is over since {over.cert.not_valid_after_utc:%Y-%m-%d %H:%M} UTC in"):
        enrolled(Asked("ca.test", 1), tmp_path / "held", None)


def test_a_certificate_is_over_at_its_last_second(tmp_path: Path, top: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    it = forged("a.test", top, names=["a.test"])
    kept(tmp_path / "held", it, top)
    second = dt.timedelta(seconds=1)
    for now, is_good in ((it.cert.not_valid_after_utc - second, True), (it.cert.not_valid_after_utc, False)):
        clock = SimpleNamespace(now=lambda _, now=now: now)
        monkeypatch.setattr("everyhop.cli.guard_enrol.dt", SimpleNamespace(datetime=clock, UTC=dt.UTC))
        if is_good:
            assert enrolled(Asked("ca.test", 1), tmp_path / "held", None) == it.cert
            continue
        with pytest.raises(Misuse, match="over since"):
            enrolled(Asked("ca.test", 1), tmp_path / "held", None)


def test_what_a_token_became_is_kept_where_it_is_of_use_and_else_what_was_there_stays(
    tmp_path: Path, top: Signer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    below = forged("Below CA", top, ca=True)
    it, folder = forged("a.test", below, names=["a.test"]), tmp_path / "held"
    roots, lists = top.cert.public_bytes(Encoding.PEM), crl(tmp_path / "list.pem", top).read_bytes()
    key = it.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    chain = b"".join(one.public_bytes(Encoding.PEM) for one in (it.cert, below.cert))
    seen: list[object] = []

    def enroll(*of: object) -> Given:
        seen.append(of)
        return Given(chain, key, roots, lists)

    monkeypatch.setattr("everyhop.cli.guard_enrol.client.enroll", enroll)
    with pytest.raises(Declined, match=r"not of b\.test") as refusal:
        enrolled(Asked("ca.test", 7443, token=TOKEN), folder, "b.test")
    assert "everyhop ca token" in "".join(refusal.value.more) and Held(folder).leaf() is None
    assert enrolled(Asked("ca.test", 7443, token=TOKEN), folder, "a.test") == it.cert
    assert seen == [(TOKEN, "ca.test", 7443)] * 2
    held = Held(folder)
    assert held.leaf() == it.cert and (held.roots.read_bytes(), held.lists.read_bytes()) == (roots, lists)
    assert held.pair.read_bytes() == key + chain
    assert "has a certificate of a.test until " in capsys.readouterr().out

    def refuse(*_: object) -> Given:
        raise Declined("ca.test:7443 answered 403: it is not good")

    monkeypatch.setattr("everyhop.cli.guard_enrol.client.enroll", refuse)
    with pytest.raises(Declined, match="answered 403") as refusal:
        enrolled(Asked("ca.test", 7443, token=TOKEN), tmp_path / "other", None)
    assert "everyhop ca token" in "".join(refusal.value.more)


def test_a_token_is_shown_to_nobody_where_what_it_becomes_cannot_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("everyhop.cli.guard_enrol.client.enroll", lambda *_: pytest.fail("a token is good once"))
    monkeypatch.setattr("everyhop.files.tempfile.NamedTemporaryFile", full)
    with pytest.raises(Surroundings, match=r"^cannot write in .*/held: No space left on device; nothing was asked$"):
        enrolled(Asked("ca.test", 7443, token=TOKEN), tmp_path / "held", None)

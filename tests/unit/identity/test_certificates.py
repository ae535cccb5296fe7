"""Reading keys, chains, roots and lists: who may use a key's file decides, bit by bit, whether it is taken; what cannot be
used says why."""

from __future__ import annotations

import datetime as dt
import ssl
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from everyhop.demo.certificates import named, put
from everyhop.identity import certificates
from everyhop.identity.certificates import Pair, read_names, read_pair, read_roots, sha256, system_roots
from everyhop.identity.keys import closing, key_bytes
from everyhop.identity.mark import mark_of
from everyhop.identity.readings import Readings
from everyhop.identity.revocation import read_crl
from everyhop.identity.unusable import Unusable
from tests.kit import Pki
from tests.kit.forge import Signer, alone, crl, forged, public, root
from tests.kit.process import ROOT

MODES = list(range(0o1000))


def exposed(path: Path) -> bool:
    try:
        data, files = key_bytes(f"file:{path.name}", path.parent, {})
    except Unusable as e:
        assert e.slug == "certificate/key-exposed" and oct(path.stat().st_mode & 0o777)[2:] in e.what
        return True
    assert data == b"the key" and set(files) == {path}
    return False


@pytest.mark.skipif(not ROOT, reason="who is not root cannot read what its mode forbids")
def test_a_key_is_taken_only_if_its_owner_alone_writes_it_and_no_stranger_uses_it(tmp_path: Path) -> None:
    """Its group may read it: that is how a key is lent to the user that everyhop runs as."""
    path = tmp_path / "a.key"
    path.write_bytes(b"the key")
    taken = []
    for mode in MODES:
        path.chmod(mode)
        if not exposed(path):
            taken.append(mode)
    group_reads, group_runs = 0o040, 0o010
    owners = {owner << 6 for owner in range(8)}
    assert set(taken) == {owner | group for owner in owners for group in (0, group_reads, group_runs, 0o050)}


@pytest.mark.parametrize("bit", [stat.S_IWGRP, stat.S_IROTH, stat.S_IWOTH, stat.S_IXOTH], ids=oct)
def test_a_key_that_one_bit_lends_to_others_is_not_taken(tmp_path: Path, bit: int) -> None:
    path = tmp_path / "a.key"
    path.write_bytes(b"the key")
    path.chmod(0o600)
    assert not exposed(path)
    path.chmod(0o600 | bit)
    assert exposed(path)


def test_a_key_behind_a_link_is_judged_by_the_file_and_not_by_the_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"the key")
    link = tmp_path / "a.key"
    link.symlink_to("real")
    (tmp_path / "real").chmod(0o600)
    assert not exposed(link)
    (tmp_path / "real").chmod(0o604)
    assert exposed(link)


@pytest.mark.parametrize("refer", [lambda p: "cred:a.key", lambda p: f"file:{p}"], ids=["credential", "whole path"])
def test_every_way_to_name_a_key_file_asks_who_may_use_it(tmp_path: Path, refer: Callable[[Path], str]) -> None:
    path = tmp_path / "a.key"
    path.write_bytes(b"the key")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    path.chmod(0o600)
    assert key_bytes(refer(path), Path("/nowhere"), environ)[0] == b"the key"
    path.chmod(0o660)
    with pytest.raises(Unusable, match="mode 0660"):
        key_bytes(refer(path), Path("/nowhere"), environ)


@pytest.mark.skipif(not ROOT, reason="only root may mount")
def test_the_mend_of_a_mode_is_one_that_can_be_done_where_the_file_lies(tmp_path: Path) -> None:
    """A secret that Kubernetes or Compose mounts cannot be changed from within: its mode is set where it is mounted."""
    mounted = tmp_path / "secret"
    mounted.mkdir()
    key = mounted / "a.key"
    if subprocess.run(["mount", "-t", "tmpfs", "secret", str(mounted)], check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        key.write_bytes(b"the key")
        key.chmod(0o644)
        mends = []
        for _ in range(2):
            with pytest.raises(Unusable) as told:
                key_bytes(f"file:{key}", tmp_path, {})
            mends.append(told.value.mend)
            subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)
        assert mends[0] == f"chmod 600 {key}"
        assert "read-only" in mends[1] and "defaultMode: 0400" in mends[1] and "chmod" not in mends[1]
    finally:
        subprocess.run(["umount", "-l", str(mounted)], check=True)


# What stands in the files.


def reading(pki: Pki, chain: list[x509.Certificate], key: bytes, tmp_path: Path) -> Pair:
    put(tmp_path / "chain.pem", b"".join(c.public_bytes(Encoding.PEM) for c in chain), 0o644)
    put(tmp_path / "a.key", key, 0o600)
    return read_pair("chain.pem", "file:a.key", tmp_path, {})


def private(it: Signer) -> bytes:
    return it.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@contextmanager
def refused(slug: str, what: str) -> Iterator[None]:
    with pytest.raises(Unusable, match=what) as told:
        yield
    assert told.value.slug == slug


@pytest.fixture
def chained(pki: Pki) -> list[Signer]:
    """A leaf and its two authorities below the root."""
    upper = forged("Upper CA", root(pki.public), ca=True)
    lower = forged("Lower CA", upper, ca=True)
    return [forged("leaf", lower, names=["a.test", "B.test", "10.0.0.1", "spiffe://a/b"]), lower, upper]


def test_a_chain_in_order_is_taken_with_its_names_and_dates(pki: Pki, chained: list[Signer], tmp_path: Path) -> None:
    leaf, *issuers = (it.cert for it in chained)
    pair = reading(pki, [leaf, *issuers], private(chained[0]), tmp_path)
    assert pair.names == ("a.test", "b.test", "10.0.0.1")
    assert (pair.not_before, pair.not_after) == (leaf.not_valid_before_utc, leaf.not_valid_after_utc)
    assert x509.load_pem_x509_certificates(pair.chain_pem) == [leaf, *issuers]
    assert set(pair.files) == {tmp_path / "chain.pem", tmp_path / "a.key"}
    assert read_names("chain.pem", tmp_path) == pair.names
    alone = reading(pki, [leaf], private(chained[0]), tmp_path)
    assert alone.chain_sha256 != pair.chain_sha256 and alone.key_sha256 == pair.key_sha256


def test_a_chain_with_a_gap_is_refused(pki: Pki, chained: list[Signer], tmp_path: Path) -> None:
    order = (0, 2)
    with pytest.raises(Unusable, match="not in order") as told:
        reading(pki, [chained[i].cert for i in order], private(chained[0]), tmp_path)
    assert (told.value.slug, told.value.mend[:18]) == ("certificate/chain-broken", "put the leaf first")


def test_a_certificate_without_names_carries_none_not_even_its_common_name(pki: Pki, tmp_path: Path) -> None:
    it = forged("a.test", root(pki.public))
    assert reading(pki, [it.cert], private(it), tmp_path).names == ()


def test_a_key_that_is_another_or_locked_or_none_is_told_for_what_it_is(
    pki: Pki, chained: list[Signer], tmp_path: Path
) -> None:
    leaf = [chained[0].cert]
    locked = chained[0].key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    for what, why in ((b"", "it is empty"), (b"nonsense", "a.key holds no PEM key$"), (b"\xff\xfe", "it is UTF-16")):
        with refused("certificate/unreadable", why):
            reading(pki, leaf, what, tmp_path)
    with refused("certificate/unreadable", "a.key is locked by a password"):
        reading(pki, leaf, locked, tmp_path)
    with refused("certificate/key-mismatch", "does not belong to the first certificate"):
        reading(pki, [chained[1].cert, *leaf, chained[2].cert], private(chained[0]), tmp_path)
    with refused("certificate/key-mismatch", "does not belong"):
        reading(pki, leaf, private(chained[1]), tmp_path)


def test_what_holds_a_key_or_what_it_signs_does_not_show_it(pki: Pki, chained: list[Signer], tmp_path: Path) -> None:
    pair = reading(pki, [chained[0].cert], private(chained[0]), tmp_path)
    roots = read_roots(str(pki.public.file), tmp_path)
    lists = read_crl(str(crl(tmp_path / "list.pem", root(pki.public))), roots, tmp_path, "clients")
    own = read_roots(str(public(tmp_path, "own", alone("box.test"))), tmp_path, own=True)
    for it in (pair, roots, own, lists):
        assert "BEGIN" not in repr(it) and "<Certificate" not in repr(it)
    with pytest.raises(FrozenInstanceError):
        pair.key_pem = b""  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        roots.sha256 = ""  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        lists.sha256 = ""  # type: ignore[misc]


def test_a_key_in_the_environment_is_read_and_one_that_is_not_there_is_told(pki: Pki) -> None:
    assert key_bytes("env:KEY", Path("/nowhere"), {"KEY": "the key"}) == (b"the key", {})
    with refused("certificate/unreadable", "the environment has no KEY"):
        key_bytes("env:KEY", Path("/nowhere"), {})
    with refused("certificate/unreadable", "no systemd credential KEY"):
        key_bytes("cred:KEY", Path("/nowhere"), {})


def test_a_file_that_is_not_there_or_has_no_name_is_told_with_its_reason(tmp_path: Path) -> None:
    with refused("ca/unusable", "gone.pem: No such file"):
        read_roots("gone.pem", tmp_path)
    with refused("ca/unusable", "embedded null byte"):
        read_roots("a\0b", tmp_path)
    for text in (b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        put(tmp_path / "bad.pem", text, 0o644)
        with refused("ca/unusable", "holds no PEM certificate"):
            read_roots("bad.pem", tmp_path)


def test_roots_of_old_say_nothing_of_what_they_are_and_what_stands_behind_them_is_judged(
    pki: Pki, tmp_path: Path
) -> None:
    """RFC 5280 knows version 1 without extensions; a leaf behind such a root is still no CA."""
    old = pki.public.file.read_bytes()
    key = forged("x", root(pki.public)).key
    now = dt.datetime.now(dt.UTC)
    bare = (
        x509.CertificateBuilder()
        .subject_name(named("Bare CA"))
        .issuer_name(named("Bare CA"))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )
    put(tmp_path / "ca.pem", bare + old, 0o644)
    assert read_roots("ca.pem", tmp_path).pem == bare + old
    for above in (bare, old):
        put(tmp_path / "ca.pem", above + pki.client.chain.read_bytes(), 0o644)
        with refused("ca/unusable", "which is no CA"):
            read_roots("ca.pem", tmp_path)


def test_the_roots_of_the_system_are_a_file_that_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    paths = ssl.get_default_verify_paths()
    nowhere = paths._replace(cafile="", openssl_cafile=str(tmp_path / "gone.pem"))
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: nowhere)
    assert system_roots().is_file()
    monkeypatch.setattr(Path, "is_file", lambda _: False)
    with refused("ca/unusable", "no system CA bundle"):
        system_roots()


def test_of_the_bundle_of_the_system_the_certificates_are_kept_and_nothing_beside_them(
    pki: Pki, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Somebody else keeps it: what stands between them is of no use to an engine, and no roots at all are no bundle."""
    bundle = tmp_path / "system.pem"
    monkeypatch.setattr(certificates, "system_roots", lambda: bundle)
    one, two = (it.file.read_bytes() for it in (pki.public, pki.internal))
    bundle.write_bytes(b"# of one\n" + one + b"# of another\n" + two + b"# schl\xfcssel\n")
    it = read_roots("system", tmp_path)
    assert it.pem == one + two and it.sha256 == sha256(one + two)
    assert (it.certs, it.own, it.weak, set(it.files)) == ((), (), (), {bundle})
    bundle.write_bytes(b"# nothing\n")
    with refused("ca/unusable", "holds no PEM certificate"):
        read_roots("system", tmp_path)


def test_the_way_to_close_a_key_file_is_told_also_where_its_place_cannot_be_asked(tmp_path: Path) -> None:
    assert closing(tmp_path / "gone") == f"chmod 600 {tmp_path / 'gone'}"


def test_a_list_that_cannot_be_read_is_told_so(pki: Pki, tmp_path: Path) -> None:
    roots = read_roots(str(pki.public.file), tmp_path)
    put(tmp_path / "bad.pem", b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", 0o644)
    with refused("crl/unusable", "holds a revocation list that cannot be read"):
        read_crl("bad.pem", roots, tmp_path, "clients")


def test_a_list_without_that_of_the_root_is_told_by_whose_is_missing(pki: Pki, tmp_path: Path) -> None:
    roots = read_roots(str(pki.public.file), tmp_path)
    crl(tmp_path / "below.pem", forged("Below CA", root(pki.public), ca=True))
    with refused("crl/unusable", "holds the list of CN=Below CA and none of CN=Public CA, against which backends are"):
        read_crl("below.pem", roots, tmp_path, "backends")


def test_a_backends_own_certificate_is_a_root_for_backends_alone_and_a_leaf_of_another_is_none(
    pki: Pki, tmp_path: Path
) -> None:
    own = public(tmp_path, "own", alone("box.test"))
    assert [c.subject for c in read_roots(str(own), tmp_path, own=True).own] == [named("box.test")]
    for reading_ in (read_roots, Readings().roots):
        with refused("ca/unusable", "which is no CA"):
            reading_(str(own), tmp_path)
    both = tmp_path / "both.pem"
    both.write_bytes(own.read_bytes() + pki.public.file.read_bytes())
    assert read_roots(str(both), tmp_path, own=True).own == (), "an authority beside it vouches for others"
    (tmp_path / "leaf.pem").write_bytes(pki.backend.chain.read_bytes())
    with pytest.raises(Unusable) as told:
        read_roots("leaf.pem", tmp_path, own=True)
    leaf = x509.load_pem_x509_certificate(pki.backend.chain.read_bytes())
    assert f'or pin this one: pin = "sha256:{leaf.fingerprint(hashes.SHA256()).hex()}"' in told.value.mend


def test_a_file_that_is_gone_has_no_mark(tmp_path: Path) -> None:
    assert mark_of(tmp_path / "gone") is None
    (tmp_path / "there").write_bytes(b"")
    before = mark_of(tmp_path / "there")
    assert before is not None and before == mark_of(tmp_path / "there")
    (tmp_path / "there").chmod(0o600)
    assert mark_of(tmp_path / "there") != before, "who may read it is part of what it is"

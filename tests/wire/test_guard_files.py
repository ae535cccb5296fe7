"""A guard of files that somebody else renews: what changes on disk is in force without a command, and what cannot be used changes nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509

from everyhop.demo.certificates import Leaf
from tests.kit import Pki, Raw
from tests.kit.edge import leaf, until
from tests.kit.forge import root
from tests.kit.guards import Guard, asked, of_files, serial
from tests.kit.list_server import ListServer
from tests.kit.nursery import everyhop
from tests.kit.own_ca import OwnCa
from tests.threats.ground import serving

Raws = Callable[..., Raw]
EDGE, BACKEND = "edge.corp.example", "backend.corp.example"
TOLD = ("--domain", "corp.example")


@pytest.fixture
def own(tmp_path: Path) -> OwnCa:
    return OwnCa(tmp_path, *TOLD)


class Ground:
    """A guard whose files lie in a folder of their own, and the edge's certificate."""

    def __init__(self, raw: Raws, own: OwnCa, folder: Path, *more: str) -> None:
        self.own, self.folder = own, folder / "guard"
        self.folder.mkdir()
        self.issued(folder / "first")
        self.backend = raw(serving)
        shutil.copy(own.roots, self.roots)
        self.me = own.leaf(folder / "me", EDGE)
        files = ["--cert", f"{self.pair.chain}", "--key", f"{self.pair.key}", "--ca", f"{self.roots}"]
        self.guard = Guard(self.backend.port, *files, "--admit", EDGE, *more)

    @property
    def pair(self) -> Leaf:
        return Leaf(self.folder / "backend.pem", self.folder / "backend.key")

    @property
    def roots(self) -> Path:
        return self.folder / "ca.pem"

    def issued(self, at: Path) -> int:
        """The guard's next certificate takes the place of the one before; its serial."""
        leaf = self.own.leaf(at, BACKEND, use="server")
        for new, old in ((leaf.key, self.pair.key), (leaf.chain, self.pair.chain)):
            new.rename(old)
        return x509.load_pem_x509_certificates(self.pair.chain.read_bytes())[0].serial_number

    def lets_in(self, leaf: Leaf) -> bool:
        try:
            return asked(self.guard.port, self.own.roots, leaf) == 200
        except OSError:
            return False

    def shown(self) -> int:
        return serial(self.guard.port, self.own.roots, self.me)


@pytest.fixture
def ground(raw: Raws, own: OwnCa, tmp_path: Path) -> Iterator[Callable[..., Ground]]:
    begun: list[Ground] = []

    def start(*more: str) -> Ground:
        begun.append(Ground(raw, own, tmp_path, *more))
        return begun[-1]

    yield start
    for it in begun:
        it.guard.close()


def revoke(own: OwnCa, leaf: Leaf) -> None:
    own.does("revoke", f"{x509.load_pem_x509_certificates(leaf.chain.read_bytes())[0].serial_number:X}")


def test_a_certificate_that_was_renewed_on_disk_is_shown_without_a_command(
    ground: Callable[..., Ground], tmp_path: Path
) -> None:
    it = ground()
    first = it.shown()
    assert it.lets_in(it.me)
    second = it.issued(tmp_path / "second")
    until(lambda: it.shown() == second)
    assert second != first and it.lets_in(it.me)


def test_an_edge_that_a_new_list_names_is_let_in_no_more_and_others_are(
    ground: Callable[..., Ground], own: OwnCa, tmp_path: Path
) -> None:
    it = ground("--crl", str(own.lists))
    other = own.leaf(tmp_path / "other", EDGE)
    assert it.lets_in(it.me) and it.lets_in(other)
    revoke(own, it.me)
    until(lambda: not it.lets_in(it.me))
    assert it.lets_in(other)


def test_without_lists_a_certificate_that_was_taken_back_goes_on_and_that_is_what_crl_is_for(
    ground: Callable[..., Ground], own: OwnCa, tmp_path: Path
) -> None:
    """The baseline of the test above: what it shows is the list's doing."""
    it = ground()
    revoke(own, it.me)
    second = it.issued(tmp_path / "second")
    until(lambda: it.shown() == second)
    assert it.lets_in(it.me)


def test_roots_that_change_let_in_edges_of_the_new_authority_and_none_of_the_old(
    ground: Callable[..., Ground], tmp_path: Path
) -> None:
    it = ground()
    (tmp_path / "more").mkdir()
    another = OwnCa(tmp_path / "more", *TOLD)
    theirs = another.leaf(tmp_path / "theirs", EDGE)
    assert it.lets_in(it.me) and not it.lets_in(theirs)
    it.roots.write_bytes(another.roots.read_bytes())
    until(lambda: it.lets_in(theirs))
    assert not it.lets_in(it.me)


@pytest.mark.parametrize("what", ["chain", "roots", "lists"])
def test_a_file_that_cannot_be_used_leaves_what_was_there_and_is_told(
    what: str, ground: Callable[..., Ground], own: OwnCa, tmp_path: Path
) -> None:
    """And one that can be is taken over afterwards."""
    lists = tmp_path / "lists.pem"
    shutil.copy(own.lists, lists)
    it = ground("--crl", str(lists))
    first = it.shown()
    file = {"chain": it.pair.chain, "roots": it.roots, "lists": lists}[what]
    good = file.read_bytes()
    before = len(it.guard.said)
    file.write_text("nonsense\n")
    it.guard.wait_for(str(file), after=before)
    assert it.shown() == first and it.lets_in(it.me)
    file.write_bytes(good)
    second = it.issued(tmp_path / "second")
    until(lambda: it.shown() == second)
    assert it.lets_in(it.me)


def test_lists_may_come_from_where_the_authority_publishes_them(raw: Raws, pki: Pki, tmp_path: Path) -> None:
    """Whom the first list does not name is let in; nobody is while there is none."""
    served = ListServer(tmp_path, root(pki.internal))
    me = leaf(pki, "identity")
    guard = Guard(raw(serving).port, *of_files(pki), "--crl", served.url)

    def lets_in() -> bool:
        try:
            return asked(guard.port, pki.internal.file, me) == 200
        except OSError:
            return False

    try:
        until(lets_in)
        assert served.questions[0].startswith("GET /issuing.crl ")
        served.publish(x509.load_pem_x509_certificates(me.chain.read_bytes())[0])
        assert everyhop("reload", "--config", str(guard.config)).returncode == 0
        until(lambda: not lets_in())
    finally:
        guard.close()
        served.close()


READ_ONLY = 'mount --make-rprivate / && mount --bind "$0" "$0" && mount -o remount,bind,ro / && exec "$@"'


def can_unshare() -> bool:
    done = subprocess.run(["unshare", "-m", "mount", "--make-rprivate", "/"], capture_output=True, check=False)
    return os.geteuid() == 0 and done.returncode == 0


@pytest.mark.skipif(not can_unshare(), reason="only root may have a view of the file system of its own")
def test_a_guard_needs_no_folder_but_its_own_to_write_in(raw: Raws, pki: Pki) -> None:
    """As in a container whose root is read-only, by the manifest that is shipped."""
    guard = Guard(raw(serving).port, *of_files(pki), under=lambda at: ["unshare", "-m", "sh", "-c", READ_ONLY, str(at)])
    try:
        assert asked(guard.port, pki.internal.file, leaf(pki, "identity")) == 200
        assert everyhop("reload", "--config", str(guard.config)).returncode == 0
    finally:
        guard.close()

"""Revocation lists of URLs as compiling sees them: what was kept, if it is of use; else what it waits for."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import pytest

from everyhop.authority.enrolment import Token
from everyhop.compile import Compiled, compile_file, renewed
from everyhop.compile.lists import is_writable
from everyhop.demo.certificates import Authority
from everyhop.errors import Refused
from everyhop.identity import mark_of
from everyhop.model import CrlSection
from everyhop.model.crl import is_url
from tests.kit.forge import HOUR, Signer, crl, forged, root, saved

URL = "https://lists.test/ca.crl"
TEXT = """version = 1
[[listener]]
name = "l"
bind = ["127.0.0.1:8443"]
[[site]]
name = "s"
hosts = ["a.test"]
certs = [{ chain = "leaf.pem", key = "file:leaf.key" }]
"""
HOP = 'verify = {{ ca = "one-ca.pem", name = "b", crl = "{}" }}\n'
SIDE = 'tls = "reencrypt"\nto = ["127.0.0.1:1"]\n' + HOP
PLACES = {
    "site": 'clients = {{ ca = "one-ca.pem", crl = "{}" }}\n[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:1"]\n',
    "route": f'[[route]]\nname = "r"\nhost = "a.test"\n{SIDE}',
    "backend": '[[route]]\nname = "r"\nhost = "a.test"\ntls = "reencrypt"\n'
    'to = [{{ at = "127.0.0.1:1", verify = {{ ca = "one-ca.pem", name = "b", crl = "{}" }} }}]\n',
    "collector": f'[traces]\ncollector = "c"\n[[collector]]\nname = "c"\n{SIDE}',
    "authorizer": f'[[authorizer]]\nname = "a"\nspeaks = "http"\n{SIDE}',
    "store": f'[[store]]\nname = "s"\n{SIDE}',
    "issuer": '[[issuer]]\nname = "i"\nissuer = "https://i.test"\naudience = "api"\nalgorithms = ["ES256"]\n'
    'keys = {{ from = "https://i.test/keys", verify = {{ ca = "one-ca.pem", name = "b", crl = "{}" }} }}\n',
}
"""Everywhere that a list can be named."""


class Ground:
    def __init__(self, folder: Path) -> None:
        self.folder, self.authority = folder, Authority(folder, "One CA")
        self.by = root(self.authority)
        saved(folder, "leaf", forged("a.test", self.by, names=["a.test"], ends=90 * 24 * HOUR), self.by)
        self.path = folder / CrlSection().kept(URL)

    def compiled(self, label: str = URL, place: str = "site") -> Compiled:
        path = self.folder / "everyhop.toml"
        path.write_text(TEXT + PLACES[place].format(label))
        return compile_file(path)

    def slugs(self, label: str, place: str) -> set[str]:
        try:
            return {f.slug for f in self.compiled(label, place).findings}
        except Refused as e:
            return {f.slug for f in e.findings}

    def keep(self, by: Signer, **of: dt.timedelta) -> None:
        self.path.parent.mkdir(0o700, exist_ok=True)
        crl(self.path, by, **of)  # type: ignore[arg-type]


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


def has(it: Compiled) -> bool:
    return f"crl/{URL}" in [e["id"] for e in it.material.entries]


@pytest.mark.parametrize("place", PLACES)
def test_wherever_a_list_is_named_it_may_be_by_a_url_and_one_that_is_none_is_refused(
    ground: Ground, place: str
) -> None:
    assert not {it for it in ground.slugs(URL, place) if it.startswith("crl/")}
    assert ground.slugs("missing.pem", place) >= {"crl/unusable"}, "it is read there"
    for wrong in (
        "ldap://lists.test/ca",
        "https://",
        "http://user@lists.test/ca.crl",
        "HTTPS://lists.test/ca.crl",
        "http://lists.test/c d",
    ):
        assert ground.slugs(wrong, place) >= {"crl/url"}, wrong


@pytest.mark.parametrize("place", ["site", "route", "backend"])
def test_what_was_not_fetched_yet_is_waited_for_and_what_was_is_given_to_the_engine(ground: Ground, place: str) -> None:
    it = ground.compiled(place=place)
    assert not has(it) and it.watched[ground.path] is None and it.findings == []
    assert f'"crl":"crl/{URL}"' in it.plan_json and [*it.lists] == [URL] and len(it.lists[URL]) == 1
    ground.keep(ground.by)
    again = renewed(it)
    assert has(again) and again.watched[ground.path] == mark_of(ground.path)
    assert again.plan_digest == it.plan_digest and [*again.lists] == [URL]


def test_what_was_kept_and_is_of_no_use_is_as_if_there_were_none_until_it_changes(ground: Ground) -> None:
    ground.keep(root(Authority(ground.folder, "Second CA")))
    stranger = ground.compiled()
    assert not has(stranger) and stranger.watched[ground.path] == mark_of(ground.path)
    ground.path.write_text("nonsense")
    spoiled = renewed(stranger)
    assert not has(spoiled) and spoiled.watched[ground.path] == mark_of(ground.path)
    ground.keep(ground.by)
    assert has(renewed(spoiled))


def test_whoever_spoils_or_removes_what_is_kept_takes_no_list_from_an_edge_that_runs(ground: Ground) -> None:
    ground.keep(ground.by)
    it = ground.compiled()
    assert has(it)
    for spoil in (lambda: ground.path.write_text("nonsense"), ground.path.unlink):
        spoil()
        again = renewed(it)
        assert again.material.digest == it.material.digest
        assert again.watched[ground.path] == mark_of(ground.path), "it is not read again and again"
        ground.keep(ground.by)
        it = renewed(again)
        assert has(it) and it.material.digest != again.material.digest, "and what comes is taken"
    # Other roots were never asked of it.
    Authority(ground.folder, "Second CA").file.rename(ground.authority.file)
    assert not has(renewed(it))


def test_one_that_is_overdue_is_warned_of_with_where_to_look(ground: Ground) -> None:
    ground.keep(ground.by, begins=-48 * HOUR, ends=-HOUR)
    (found,) = ground.compiled().findings
    assert (found.slug, found.severity) == ("crl/stale", "warning") and "everyhop status" in found.mend[0]


def test_roots_that_are_yet_to_come_leave_a_list_that_nobody_can_judge(ground: Ground) -> None:
    (ground.folder / "token").touch(0o600)
    (ground.folder / "token").write_text(str(Token(bytes(32), bytes(32))))
    text = PLACES["site"].format(URL).replace("one-ca.pem", "identity:i")
    own = '[[identity]]\nname = "i"\nfrom = "ca"\nauthority = "ca.test:1"\ntoken = "file:token"\n'
    (ground.folder / "everyhop.toml").write_text(TEXT + text + own)
    assert compile_file(ground.folder / "everyhop.toml").lists == {URL: ()}


def test_lists_are_kept_in_a_folder_that_is_ours_or_root_s_and_in_which_nobody_else_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_writable(tmp_path / "not there yet") is None
    (file := tmp_path / "file").touch()
    (lost := tmp_path / "lost").symlink_to(tmp_path / "nowhere")
    for path, why in ((file, "is no folder"), (lost, "No such file")):
        assert why in (is_writable(path) or "")
    (folder := tmp_path / "lists").mkdir(0o755)
    for mode, others in ((0o700, False), (0o755, False), (0o775, True), (0o757, True), (0o720, True), (0o702, True)):
        folder.chmod(mode)
        assert ("others can write" in (is_writable(folder) or "")) == others, oct(mode)
    folder.chmod(0o755)
    uid = folder.stat().st_uid
    monkeypatch.setattr("os.geteuid", lambda: uid + 1)
    assert (is_writable(folder) is None) == (uid == 0), "who is root can do so anyway"
    if uid == 0:
        for other in (1, 65534):
            os.chown(folder, other, other)
            monkeypatch.setattr("os.geteuid", lambda: 0)
            assert f"another user (uid {other})" in (is_writable(folder) or "")
            monkeypatch.setattr("os.geteuid", lambda uid=other: uid)
            assert is_writable(folder) is None


def test_a_name_with_a_scheme_is_a_url_and_others_are_files() -> None:
    assert [is_url(it) for it in ("http://a", "ldaps://a", "svn+ssh://a", "HTTP://a")] == [True] * 4
    assert [is_url(it) for it in ("a.pem", "/etc/a://b", "://a", "identity:a", "http:/a")] == [False] * 5

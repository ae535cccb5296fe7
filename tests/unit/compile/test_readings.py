"""What was read and judged before is not read and judged again: however many certificates there are, a renewal of one reads one,
and gives what reading everything would give."""

from __future__ import annotations

import datetime as dt
import gc
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from everyhop.admin.renewal import AT_ONCE, KEPT_AT_ONCE, KEPT_LOOKS, LOOKS, Renewal, Round
from everyhop.compile import Compiled, compile_file, renewed
from everyhop.compile import compiler as compiling
from everyhop.compile.build import build
from everyhop.compile.world import World
from everyhop.demo.certificates import Authority, put
from everyhop.errors import Refused
from everyhop.identity import Mark, mark_of
from everyhop.plan import Plan
from tests.kit.forge import crl, root

SITES = 12
HEAD = 'version = 1\n[[listener]]\nname = "public"\nbind = ["127.0.0.1:8443"]\n'
SITE = """\
[[site]]
name = "s{i}"
{hosts}
certs = [{{ chain = "c{i}.pem", key = "file:c{i}.key" }}]
[[route]]
name = "r{i}"
host = "h{i}.test"
tls = "reencrypt"
to = ["127.0.0.1:{port}"]
verify = {{ ca = "internal-ca.pem", name = "b.test" }}
"""
CLIENTS = 'clients = {{ ca = "public-ca.pem", crl = "list.pem" }}\n'


@dataclass
class Ground:
    folder: Path
    authority: Authority

    @property
    def path(self) -> Path:
        return self.folder / "everyhop.toml"

    def whole(self) -> Compiled:
        """By reading everything."""
        return compile_file(self.path, past_dates="close")


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    authority = Authority(tmp_path, "Public CA")
    Authority(tmp_path, "Internal CA")
    crl(tmp_path / "list.pem", root(authority))
    text = HEAD
    for i in range(SITES):
        authority.leaf(f"c{i}", f"h{i}.test")
        hosts = f'hosts = ["h{i}.test"]' if i % 2 else ""
        text += SITE.format(i=i, hosts=hosts + ("\n" + CLIENTS.format() if i == 0 else ""), port=9000 + i)
    (tmp_path / "everyhop.toml").write_text(text)
    return Ground(tmp_path, authority)


def same(one: Compiled, other: Compiled) -> bool:
    return (
        (one.plan_json, one.material, one.watched, one.names, one.guessed)
        == (other.plan_json, other.material, other.watched, other.names, other.guessed)
        and [f.identity for f in one.findings] == [f.identity for f in other.findings]
        and [f.what for f in one.findings] == [f.what for f in other.findings]
    )


def test_the_renewal_of_one_certificate_reads_and_judges_one(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ground.whole()
    assert first.readings.judged == SITES + 3, "two authorities, a list"
    ground.authority.leaf("c3", "h3.test")
    monkeypatch.setattr(compiling, "ways_in", lambda *_: pytest.fail("the plan is the same: nobody asks the matcher"))
    again = renewed(first)
    assert again.readings.judged == 1 and again.plan is first.plan and again.material.digest != first.material.digest
    monkeypatch.undo()
    assert same(again, ground.whole())
    assert renewed(again).readings.judged == 0 and same(renewed(again), again)


def test_a_reload_reads_and_judges_only_what_is_new(ground: Ground) -> None:
    first = ground.whole()
    ground.authority.leaf("c5", "h5.test")
    ground.authority.leaf("more", "more.test")
    more = SITE.format(i=99, hosts='hosts = ["more.test"]', port=9999).replace("c99.", "more.").replace("h99.", "more.")
    ground.path.write_text(ground.path.read_text() + more)
    second = compile_file(ground.path, past_dates="close", known=first.readings)
    assert second.readings.judged == 2 and same(second, ground.whole())


RENEWALS: dict[str, Callable[[Ground], object]] = {
    "other names, where the plan takes them from the certificate": lambda g: g.authority.leaf(
        "c2", "h2.test", "x.test"
    ),
    "more names, where the hosts are written": lambda g: g.authority.leaf("c3", "h3.test", "x.test"),
    "one that ends soon": lambda g: g.authority.leaf("c4", "h4.test", days=3),
    "one that is over": lambda g: g.authority.leaf("c4", "h4.test", days=-3),
    "a newer list": lambda g: crl(g.folder / "list.pem", root(g.authority)),
    "another authority": lambda g: shutil.copy(g.folder / "public-ca.pem", g.folder / "internal-ca.pem"),
    "one with a name of another site": lambda g: g.authority.leaf("c1", "h1.test", "h3.test"),
}


@pytest.mark.parametrize("what", RENEWALS)
def test_what_is_renewed_is_what_reading_everything_would_give(ground: Ground, what: str) -> None:
    first = ground.whole()
    RENEWALS[what](ground)
    assert same(renewed(first), ground.whole())


BREAKS: dict[str, Callable[[Ground], object]] = {
    "names that its site needs are gone": lambda g: g.authority.leaf("c3", "other.test"),
    "another's key": lambda g: shutil.copy2(g.folder / "c1.key", g.folder / "c3.key"),
    "no certificate": lambda g: put(g.folder / "c3.pem", b"nothing\n", 0o644),
    "a key that others may read": lambda g: (g.folder / "c3.key").chmod(0o644),
    "an authority that is gone": lambda g: (g.folder / "internal-ca.pem").unlink(),
}


@pytest.mark.parametrize("what", BREAKS)
def test_what_cannot_be_used_is_refused_though_everything_else_is_known(ground: Ground, what: str) -> None:
    first = ground.whole()
    BREAKS[what](ground)
    with pytest.raises(Refused) as by_reading_all:
        ground.whole()
    with pytest.raises(Refused) as found:
        renewed(first)
    refused = {f.identity for f in by_reading_all.value.findings if f.severity == "refused"}
    assert {f.identity for f in found.value.findings if f.severity == "refused"} == refused


def test_a_date_that_comes_is_found_in_what_was_read_before(ground: Ground) -> None:
    first = ground.whole()
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=85)
    found = renewed(first, later)
    assert found.readings.judged == 0
    assert {f.slug for f in found.findings} >= {"certificate/expires-soon", "crl/stale"}
    over = renewed(first, later + dt.timedelta(days=30))
    assert [f.slug for f in over.findings].count("certificate/expired") == SITES


def test_every_one_of_many_files_is_looked_at_within_four_looks(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not all of them at each: ten thousand would take a fifth of a core."""
    files = AT_ONCE * 8
    marks = {Path(f"/nowhere/{i}"): Mark(0, i, 0, 0, 0, 0, 0) for i in range(files)}
    now = dict(marks)
    asked: list[Path] = []

    def mark_of_(path: Path) -> Mark | None:
        asked.append(path)
        return now[path]

    monkeypatch.setattr("everyhop.admin.renewal.mark_of", mark_of_)
    it = Renewal(ground.whole(), 0.0)
    it.marks, it.others = dict(marks), Round([*marks], AT_ONCE, LOOKS)
    assert [it.changed() for _ in range(4)] == [False] * 4
    assert len(asked) == files and set(asked) == set(marks)
    last = Path(f"/nowhere/{files - 1}")
    now[last] = Mark(0, 1, 1, 1, 1, 1, 1)
    assert [it.changed() for _ in range(8)] == [False, False, False, True, False, False, False, False]


def test_what_the_supervisor_writes_itself_is_looked_at_seldom_and_soon_after_it_may_have_written() -> None:
    """Of ten thousand certificates by ACME, a thousand a second where nothing happens; all, once a step was taken."""
    paths = [Path(f"/nowhere/{i}") for i in range(KEPT_AT_ONCE * KEPT_LOOKS)]
    it = Round(paths, KEPT_AT_ONCE, KEPT_LOOKS)
    every = [it.share() for _ in range(KEPT_LOOKS)]
    assert [len(one) for one in every] == [KEPT_AT_ONCE] * KEPT_LOOKS and {path for one in every for path in one} == {
        *paths
    }
    for begin in (0, 1, KEPT_LOOKS // 2, KEPT_LOOKS - 1):
        for _ in range(begin):
            it.share()
        it.hasten()
        soon = [it.share() for _ in range(LOOKS + 1)]
        assert {path for one in soon for path in one} == {*paths}, begin
        assert len(it.share()) <= KEPT_AT_ONCE
    few = Round(paths[:KEPT_AT_ONCE], KEPT_AT_ONCE, KEPT_LOOKS)
    assert [len(few.share()) for _ in range(3)] == [KEPT_AT_ONCE] * 3, "few are looked at each time"


def test_what_a_file_was_is_known_by_its_mark_alone(ground: Ground) -> None:
    first = ground.whole()
    path = ground.folder / "c3.pem"
    assert first.watched[path] == mark_of(path)
    path.touch()
    assert renewed(first).readings.judged == 1, "touched is changed"


def test_a_renewal_that_gives_an_identity_the_key_of_a_site_is_asked_of_all_rules(ground: Ground) -> None:
    """Nothing else of it changed: neither names, nor dates, nor the text."""
    authority = ground.authority
    authority.leaf("i", "h0.test")
    text = f"""{HEAD}[[site]]
name = "s"
hosts = ["h0.test"]
certs = [{{ chain = "c0.pem", key = "file:c0.key" }}]
[[identity]]
name = "i"
chain = "i.pem"
key = "file:i.key"
[[route]]
name = "r"
host = "h0.test"
tls = "mutual"
to = ["127.0.0.1:1"]
present = "i"
verify = {{ ca = "internal-ca.pem", name = "b.test" }}
requires = ["independent-certificates"]
"""
    ground.path.write_text(text)
    first = ground.whole()
    for kind in ("pem", "key"):
        shutil.copy2(ground.folder / f"c0.{kind}", ground.folder / f"i.{kind}")
    with pytest.raises(Refused) as found:
        renewed(first)
    assert {f.slug for f in found.value.findings if f.severity == "refused"} == {"route/requirement-not-configured"}


def test_nothing_is_collected_while_a_plan_is_made_and_everything_afterwards(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    def built(world: World) -> Plan:
        seen.append(gc.isenabled())
        return build(world)

    monkeypatch.setattr(compiling, "build", built)
    ground.whole()
    assert (seen, gc.isenabled()) == ([False], True)
    (ground.folder / "c1.pem").write_text("none")
    with pytest.raises(Refused):
        ground.whole()
    assert gc.isenabled()

"""What is wrong is told once when it breaks and once when it is well again, by whoever knows most of it."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import Any, cast

import pytest

from everyhop import _door
from everyhop.admin import telling, watch
from everyhop.admin.accesslog import AccessLog
from everyhop.admin.loop import Loop
from everyhop.admin.troubles import ORDER, SENTENCES, UNREADY, WaysIn, over, rank, trouble
from everyhop.admin.watch import HEALED, MOST_LINES, QUIET, SAID, Watch
from everyhop.compile import Compiled, compile_file
from everyhop.demo.certificates import Authority
from everyhop.engine.resolver import Resolver
from everyhop.errors import EveryhopError

NOW = dt.datetime(2026, 11, 26, 3, 0, tzinfo=dt.UTC)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(watch, "say", lines.append)
    return lines


def watching() -> Watch:
    return Watch(cast(Any, None), cast(Any, None), Loop())


def test_what_broke_is_said_once_and_its_recovery_with_how_long_it_took(said: list[str]) -> None:
    it = watching()
    broken = trouble("backend-ejected", "backend b of route r", "hop/connect-failed")
    for seconds in (0, 1, 2):
        it.note([broken], NOW + dt.timedelta(seconds=seconds))
    it.note([], NOW + dt.timedelta(seconds=34))
    assert said == [
        "wrong: backend b of route r: a backend failed too often and rests (hop/connect-failed)  [backend-ejected]",
        "well again: backend b of route r, after 34 s  [backend-ejected]",
    ]
    it.note([broken], NOW)
    assert len(said) == 3, "what breaks again is said again"


@pytest.mark.parametrize("kind", sorted(ORDER))
def test_every_kind_has_a_line_when_it_breaks_and_when_it_heals(said: list[str], kind: str) -> None:
    """Here, or from whoever found it: but for single tries that fail, which `status` shows."""
    it = watching()
    it.note([trouble(kind, "x")], NOW)
    it.note([], NOW)
    here = [line.split(":")[0] for line in said]
    want = [] if kind in QUIET else ["wrong"] * (kind not in SAID) + ["well again"] * (kind not in HEALED)
    assert here == want
    assert HEALED <= SAID


def test_a_network_that_is_gone_is_some_lines_and_a_number(said: list[str]) -> None:
    it = watching()
    it.note([trouble("impostor", f"backend {n}") for n in range(100)], NOW)
    assert len(said) == MOST_LINES + 1 and said[-1].startswith(f"and {100 - MOST_LINES} more")


def test_the_worst_comes_first_and_a_kind_of_another_version_last() -> None:
    kinds = [kind for kind, _, _ in _door.troubles()]
    assert sorted(["unheard-of", *reversed(kinds)], key=rank) == [*kinds, "unheard-of"]
    assert set(UNREADY) < set(kinds) == set(SENTENCES)


TEXT = """\
version = 1
[[listener]]
name = "l"
bind = ["127.0.0.1:8443"]
[[site]]
name = "one"
hosts = ["a.test"]
certs = [{ chain = "one.pem", key = "file:one.key" }]
[[site]]
name = "two"
hosts = ["b.test"]
certs = [{ chain = "two.pem", key = "file:two.key" }, { chain = "late.pem", key = "file:late.key" }]
[[identity]]
name = "i"
chain = "i.pem"
key = "file:i.key"
[[route]]
name = "ra"
host = "a.test"
tls = "mutual"
to = ["127.0.0.1:1"]
verify = { ca = "ca.pem", name = "n" }
present = "i"
[[route]]
name = "rb"
host = "b.test"
tls = "plaintext"
to = ["127.0.0.1:2"]
"""


@pytest.fixture
def compiled(tmp_path: Path) -> Compiled:
    authority = Authority(tmp_path, "CA")
    (tmp_path / "ca.pem").write_bytes(authority.file.read_bytes())
    for name, host, days in (("one", "a.test", 10), ("two", "b.test", 10), ("late", "b.test", 20), ("i", "e.test", 30)):
        authority.leaf(name, host, days=days)
    (tmp_path / "everyhop.toml").write_text(TEXT)
    return compile_file(tmp_path / "everyhop.toml")


def test_a_certificate_that_is_over_is_told_with_what_it_closes(compiled: Compiled) -> None:
    def after(days: int) -> dict[str, str]:
        at = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
        return {it.about: it.why.partition("; ")[2] for it in over(compiled, at, WaysIn())}

    assert after(0) == {}
    assert after(11) == {
        "site one": "it closes route ra",
        "site two": "another one of the site is shown instead",
    }
    assert after(21)["site two"] == "it closes route rb"
    assert after(31)["identity i"] == "backends of route ra will refuse it"


class Names(Resolver):
    """A resolver that says what it is told to, and asks nobody."""

    def __init__(self, failed: dict[str, str]) -> None:
        super().__init__(set())
        self.failed = failed


def test_a_name_that_no_longer_resolves_is_told_until_it_does(said: list[str], compiled: Compiled) -> None:
    class Keeper:
        running, control, restarted, upgrade_wrong = compiled, None, None, None
        died, pid, path, log, key_servers = "", 0, None, AccessLog(), None
        resolver = Names({"b.test": "Name or service not known"})

    class Changes:
        wrong = None

        class renewal:
            wrong = None

    it = Watch(cast(Any, Keeper), cast(Any, Changes), Loop())
    assert [w.told()["kind"] for w in it.now()] == ["engine-gone", "name-unresolved"]
    assert said[0].startswith(
        "wrong: b.test: a backend's name no longer resolves; its last addresses are used (Name or"
    )
    Keeper.resolver.failed = {}
    assert [w.told()["kind"] for w in it.now()] == ["engine-gone"]
    assert said[1].startswith("well again: b.test, after ")


def test_only_what_is_done_again_and_again_is_a_trouble_that_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Loop()
    monkeypatch.setattr("everyhop.admin.loop.say", lambda _: None)

    def broken() -> None:
        raise EveryhopError("oh")

    loop.turn(lambda _: None, {"dates": broken, "names": lambda: None}, 0.0)
    loop.tried("somebody who asks", broken)
    assert list(loop.failing()) == ["dates"] and "oh" in loop.failing()["dates"]
    loop.turn(lambda _: None, {"dates": lambda: None}, 0.0)
    assert loop.failing() == {}


def test_no_time_stands_before_a_line_in_the_journal_which_writes_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    mine = os.fstat(writing)
    monkeypatch.setenv("JOURNAL_STREAM", f"{mine.st_dev}:{mine.st_ino}")
    assert telling.is_journal(writing)
    monkeypatch.setenv("JOURNAL_STREAM", f"{mine.st_dev}:{mine.st_ino + 1}")
    assert not telling.is_journal(writing), "it was inherited, and our lines go elsewhere"
    monkeypatch.delenv("JOURNAL_STREAM")
    assert not telling.is_journal(writing)
    os.close(reading)
    os.close(writing)

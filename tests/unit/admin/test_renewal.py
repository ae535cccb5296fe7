"""Certificates renewed under what runs, at whichever moment; dates told once each."""

from __future__ import annotations

import datetime as dt
import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from everyhop.admin import reload, renewal
from everyhop.admin.reload import Reload
from everyhop.admin.renewal import DATES_S, FIRST_PAUSE_S, LONGEST_PAUSE_S, Renewal, what_changed
from everyhop.compile import Compiled, Material, compile_file
from everyhop.demo.certificates import Authority, put
from everyhop.engine.frames import Lost
from everyhop.errors import EveryhopError

TEXT = """\
version = 1
[[listener]]
name = "public"
bind = ["127.0.0.1:8443"]
[[site]]
name = "edge"
hosts = ["a.test"]
certs = [{ chain = "edge.pem", key = "file:edge.key" }]
[[route]]
name = "r"
host = "a.test"
tls = "plaintext"
to = ["127.0.0.1:8080"]
"""


class Ground:
    """A folder with a configuration and its certificates."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.said = folder, list[str]()
        self.authority = Authority(folder, "Public CA")
        self.authority.leaf("edge", "a.test")
        self.config = folder / "everyhop.toml"
        self.config.write_text(TEXT)

    def compiled(self) -> Compiled:
        return compile_file(self.config)

    def swap(self) -> None:
        """Another leaf with another key, each put in its place in one step."""
        other = self.authority.leaf("other", "a.test")
        put(self.folder / "edge.key", other.key.read_bytes(), 0o600)
        put(self.folder / "edge.pem", other.chain.read_bytes(), 0o600)


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ground:
    it = Ground(tmp_path)
    monkeypatch.setattr(renewal, "say", it.said.append)
    return it


def test_nothing_changed_is_nothing_to_do(ground: Ground) -> None:
    it = Renewal(ground.compiled(), 0.0)
    assert not it.changed() and not it.changed()


def test_a_loop_that_turns_a_hundred_times_a_second_looks_at_files_five_times(ground: Ground) -> None:
    it = Renewal(ground.compiled(), 100.0)
    assert [it.is_due(100.0 + n / 100) for n in range(100)].count(True) == 5
    assert it.is_due(102.0), "and one that turns seldom at each turn"
    assert it.is_due(102.25)


def test_a_swap_is_seen_once_and_read(ground: Ground) -> None:
    it = Renewal(ground.compiled(), 0.0)
    ground.swap()
    assert it.changed() and not it.changed()
    found = it.read()
    assert found is not None and found.material.digest != it.running.material.digest
    it.follows(found)
    assert not it.changed()


def test_a_swap_between_reading_and_running_is_seen(ground: Ground) -> None:
    """A reload waits for the engine and for names; what is swapped meanwhile is not what was read."""
    compiled = ground.compiled()
    ground.swap()
    it = Renewal(compiled, 0.0)
    assert it.changed()
    it.follows(ground.compiled())
    assert not it.changed()
    compiled = ground.compiled()
    ground.swap()
    it.follows(compiled)
    assert it.changed()


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


def linked(path: Path) -> None:
    path.rename(path.with_name("x"))
    path.symlink_to("x")


TOUCH: dict[str, Callable[[Path], None]] = {
    "its bytes in place": longer,
    "its mode": lambda path: path.chmod(0o400),
    "its owner": lambda path: os.chown(path, 1, -1),
    "its group": lambda path: os.chown(path, -1, 1),
    "it is gone": lambda path: path.unlink(),
    "it is a link now": linked,
}


@pytest.mark.parametrize("what", [w for w in TOUCH if os.geteuid() == 0 or w not in {"its owner", "its group"}])
def test_what_counts_as_a_change(ground: Ground, what: str) -> None:
    it = Renewal(ground.compiled(), 0.0)
    link = what == "it is a link now"
    TOUCH[what](ground.folder / "edge.key")
    # A link that leads to the very same file is none.
    assert it.changed() is not link
    if link:
        other = ground.authority.leaf("other", "a.test")
        put(ground.folder / "y", other.key.read_bytes(), 0o600)
        (ground.folder / "edge.key").unlink()
        (ground.folder / "edge.key").symlink_to("y")
        assert it.changed()


def test_files_that_cannot_be_used_are_told_and_looked_at_again_when_they_change(ground: Ground) -> None:
    it = Renewal(ground.compiled(), 0.0)
    good = (ground.folder / "edge.pem").read_bytes()
    (ground.folder / "edge.pem").write_text("no certificate")
    assert it.changed() and it.read() is None and not it.changed()
    assert len(ground.said) == 1 and "the last good ones stay" in ground.said[0] and "edge.pem" in ground.said[0]
    (ground.folder / "edge.pem").write_bytes(good)
    assert it.changed() and it.read() is None, "the same as what runs"
    assert len(ground.said) == 1


def test_the_text_that_runs_is_read_with_the_new_certificates_and_no_other(ground: Ground) -> None:
    it = Renewal(ground.compiled(), 0.0)
    ground.config.write_text(TEXT.replace('"r"', '"other"'))
    assert not it.changed(), "an edit that nobody asked for is no renewal"
    ground.swap()
    assert it.changed()
    found = it.read()
    assert found is not None and [r.name for r in found.plan.routes] == ["r"]


def test_an_engine_that_was_lost_is_given_them_again(ground: Ground) -> None:
    it = Renewal(ground.compiled(), 0.0)
    it.forget()
    assert it.changed()


# Brought to the engine.


@dataclass
class Bringing:
    """Stands for a keeper of an engine, in whose way stands one thing after the other."""

    decided: Compiled
    stands_in_the_way: list[BaseException]
    asked: int = 0

    def renew(self, compiled: Compiled) -> None:
        self.asked += 1
        if self.stands_in_the_way:
            raise self.stands_in_the_way.pop(0)
        self.decided = compiled


class Under:
    """A reload with a clock that the test sets."""

    def __init__(self, ground: Ground, monkeypatch: pytest.MonkeyPatch, *ways: BaseException) -> None:
        self.now_s = 1000.0
        monkeypatch.setattr("everyhop.admin.reload.time", SimpleNamespace(monotonic=lambda: self.now_s))
        monkeypatch.setattr(reload, "say", ground.said.append)
        monkeypatch.setattr(reload, "tell", lambda *_: None)
        self.keeper = Bringing(ground.compiled(), [*ways])
        self.it = Reload(ground.config, cast(Any, self.keeper))
        self.served = self.keeper.decided.material.digest

    def look(self, after_s: float = 0.25) -> str | None:
        self.now_s += after_s
        self.it.renew()
        return self.it.renewal.wrong

    def is_served(self) -> bool:
        return self.keeper.decided.material.digest != self.served


OURS = [
    OSError(errno.EMFILE, os.strerror(errno.EMFILE)),
    ImportError("no module"),
    BaseException("a panic of a library"),
]


@pytest.mark.parametrize("way", OURS, ids=lambda it: type(it).__name__)
def test_what_did_not_reach_the_engine_is_told_and_brought_again(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, way: BaseException
) -> None:
    """Whatever stood in its way, and without another change of any file."""
    under = Under(ground, monkeypatch, way)
    ground.swap()
    with pytest.raises(type(way)):
        under.look()
    wrong = under.it.renewal.wrong
    assert wrong is not None and type(way).__name__ in wrong and str(way) in wrong
    assert under.it.renewal.unused() == [ground.folder / "edge.pem", ground.folder / "edge.key"]
    for _ in range(10):
        assert under.look() == wrong, "it lasts until it is well"
    assert under.keeper.asked == 1, "and is not tried each quarter of a second"
    assert under.look(FIRST_PAUSE_S) is None and under.is_served()
    assert under.keeper.asked == 2 and "certificates renewed" in ground.said[-1]
    under.look(LONGEST_PAUSE_S)
    assert under.keeper.asked == 2


def test_what_stays_in_the_way_is_tried_more_and_more_seldom(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    under = Under(ground, monkeypatch, *[OSError(errno.EMFILE, "x")] * 12)
    ground.swap()
    pauses, before = [], under.now_s
    for _ in range(12):
        with pytest.raises(OSError, match="x"):
            for _ in range(2 * int(LONGEST_PAUSE_S)):
                under.look(1.0)
        pauses.append(under.now_s - before)
        before = under.now_s
    assert pauses[1] < 2 * FIRST_PAUSE_S and pauses[-1] == pytest.approx(LONGEST_PAUSE_S, abs=2)
    assert pauses[1:] == sorted(pauses[1:])
    ground.swap()
    assert under.look() is None and under.is_served(), "a change is taken at once"


def test_a_file_that_could_not_be_read_for_a_moment_is_read_again(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as for want of descriptors: the file is as it was afterwards."""
    under = Under(ground, monkeypatch)
    good = renewal.again
    refused = unreadable(ground)
    monkeypatch.setattr(renewal, "again", lambda _: raises(refused))
    ground.swap()
    assert "edge.pem" in (under.look() or "")
    said = len(ground.said)
    for _ in range(40):
        assert under.look()
    assert len(ground.said) == said == 1, "the same is said once"
    monkeypatch.setattr(renewal, "again", good)
    assert under.look(LONGEST_PAUSE_S) is None and under.is_served()


def test_what_the_engine_refuses_is_said_once_and_brought_again(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    under = Under(ground, monkeypatch, EveryhopError("no"), EveryhopError("no"), EveryhopError("never"))
    ground.swap()
    for n in (1, 2, 3):
        assert "the engine cannot use them" in (under.look(LONGEST_PAUSE_S) or "")
        assert under.keeper.asked == n
    assert [line.rpartition(": ")[2] for line in ground.said] == ["no", "never"]
    assert under.look(LONGEST_PAUSE_S) is None and under.is_served()


def test_an_engine_that_is_gone_is_given_them_at_the_next_look(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    under = Under(ground, monkeypatch, Lost("gone"))
    ground.swap()
    with pytest.raises(Lost):
        under.look()
    assert under.look() is None and under.is_served()


def unreadable(ground: Ground) -> EveryhopError:
    """What is raised where a file of the ground is there and cannot be used."""
    chain = ground.folder / "edge.pem"
    kept = chain.read_bytes()
    chain.write_text("no certificate")
    with pytest.raises(EveryhopError) as found:
        ground.compiled()
    put(chain, kept, 0o600)
    return found.value


def raises(it: BaseException) -> Any:
    raise it


def accepted(until: dt.date) -> str:
    today = dt.datetime.now(dt.UTC).date()
    return TEXT.replace('to = ["127.0.0.1:8080"]', 'to = ["10.0.0.5:8080"]') + (
        f'[route.acceptance]\nowner = "me"\nwhy = "test"\ncontext = "legacy"\nsince = {today}\nuntil = {until}\n'
    )


def test_what_draws_near_is_told_once_at_each_threshold(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not every day of the last month, though "in 29 days" is another text than "in 28 days"."""
    today = dt.datetime.now(dt.UTC)
    ground.config.write_text(accepted(today.date() + dt.timedelta(days=40)))
    it = Renewal(ground.compiled(), 0.0)
    told = []
    for day in range(44):
        at = today + dt.timedelta(days=day)
        monkeypatch.setattr(
            renewal,
            "again",
            lambda running, at=at: compile_file(running.path, past_dates="close", text=running.text, now=at),
        )
        for hour in (1, 2):
            told += [(day, f.slug) for f in it.near((24 * day + hour) * DATES_S + 1) if f.slug.startswith("acceptance")]
    assert told == [
        (11, "acceptance/ends-soon"),
        (34, "acceptance/ends-soon"),
        (40, "acceptance/ends-soon"),
        (41, "acceptance/expired"),
    ]


def test_dates_are_asked_every_hour(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    it = Renewal(ground.compiled(), 100.0)
    asked = []

    def again(running: Compiled) -> Compiled:
        asked.append(1)
        return running

    monkeypatch.setattr(renewal, "again", again)
    for now in (100.0, 101.0, 100.0 + DATES_S - 1):
        it.near(now)
    assert asked == []
    it.near(100.0 + DATES_S)
    it.near(100.0 + DATES_S + 1)
    assert asked == [1]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (["site/shop/0"], "certificates"),
        (["site/shop/0", "identity/edge"], "certificates"),
        (["ca/0011"], "authorities"),
        (["crl/0011"], "revocation lists"),
        (["page/0011"], "pages"),
        (["page/0011", "site/shop/0", "crl/0011"], "certificates and pages and revocation lists"),
    ],
)
def test_what_was_renewed_is_called_by_its_name(changed: list[str], said: str) -> None:
    names = ["site/shop/0", "identity/edge", "ca/0011", "crl/0011", "page/0011"]

    def of(digests: dict[str, str]) -> Material:
        return Material([{"id": name, "chain_sha256": digests.get(name, "0")} for name in names], "", b"")

    assert what_changed(of({}), of(dict.fromkeys(changed, "1"))) == said

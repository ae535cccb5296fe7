"""What a migration goes by is what is noted once it is alone, and not what was noted before another that was at work."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from everyhop.demo.certificates import Authority
from everyhop.errors import EveryhopError, Misuse, Surroundings
from everyhop.migrate import Asked, Migration
from everyhop.migrate.edit import with_entry
from everyhop.migrate.journal import Journal, kept, place_of
from everyhop.migrate.running import Counts, Running, Silent
from everyhop.migrate.written import Written, digest

TEXT = """version = 1
[admin]
socket = "none.sock"
[[listener]]
name = "l"
bind = ["127.0.0.1:8443"]
[[site]]
name = "s"
hosts = ["a.test"]
certs = [{ chain = "leaf.pem", key = "file:leaf.key" }]
[[identity]]
name = "i"
chain = "leaf.pem"
key = "file:leaf.key"
[[route]]
name = "r"
host = "a.test"
tls = "plaintext"
to = ["127.0.0.1:1", "127.0.0.1:2"]
"""
MOVED = {"at": "127.0.0.1:1", "tls": "mutual", "verify": {"ca": "one-ca.pem", "name": "b.test"}, "present": "i"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    Authority(tmp_path, "One CA").leaf("leaf", "a.test")
    (path := tmp_path / "everyhop.toml").write_text(TEXT)
    return path


def moved_by_another(file: Path) -> str:
    """As one that was killed after its first step leaves it."""
    text = with_entry(TEXT, "r", 0, MOVED)
    entries = ["127.0.0.1:1", "127.0.0.1:2"]
    Journal(place_of(file, "r"), TEXT, entries, Asked(present="i"), [digest(TEXT), digest(text)]).keep()
    file.write_text(text)
    return text


def test_what_another_moved_meanwhile_is_taken_back_to_what_was_before_it(file: Path) -> None:
    it = Migration(file, "r", Asked())
    assert it.journal is None
    moved_by_another(file)
    assert it.back() is False, "no edge runs, and the file alone is put back"
    assert file.read_text() == TEXT and kept(file, "r") is None


def test_whoever_goes_on_keeps_the_text_from_before_the_first_step(file: Path) -> None:
    it = Migration(file, "r", Asked())
    text = moved_by_another(file)
    with pytest.raises(Surroundings):
        it.go_on(0)  # no edge runs
    noted = kept(file, "r")
    assert noted is not None and noted.before == TEXT and file.read_text() == text
    assert it.journal is not None and it.journal.before == TEXT and it.asked == Asked(present="i")


def test_what_was_taken_back_meanwhile_is_not_taken_back_twice(file: Path) -> None:
    text = moved_by_another(file)
    one, two = (Migration(file, "r", Asked()) for _ in range(2))
    one.back()
    file.write_text(text)
    with pytest.raises(Misuse, match="nothing is noted of a migration of route 'r'"):
        two.back()
    assert file.read_text() == text


def test_two_are_not_at_work_at_once(file: Path) -> None:
    moved_by_another(file)
    it = Migration(file, "r", Asked())
    with Written(file, "r").alone(), pytest.raises(Surroundings, match="another everyhop migrate is at work"):
        it.back()
    assert file.read_text() != TEXT
    it.back()


class Edge:
    """Takes what it is told to, and is silent for `silent` looks after it was first told to read the file."""

    def __init__(self, silent: int, *, takes: int = 99) -> None:
        self.silent, self.takes, self.reloads, self.looks = silent, takes, 0, 0

    def counts(self, *_: str) -> Counts:
        if self.reloads:
            self.looks += 1
            if self.looks <= self.silent:
                raise Silent("the engine does not answer")
        return Counts()

    def reload(self) -> None:
        self.reloads += 1
        if self.reloads > self.takes:
            raise EveryhopError("the running edge did not take the file: the engine does not answer", "  more of it")

    def status(self) -> dict[str, object]:
        raise Silent("the engine does not answer")


def moving(file: Path, edge: Edge, monkeypatch: pytest.MonkeyPatch) -> tuple[Migration, Journal, list[str]]:
    """A migration whose clock goes on by a second with each look."""
    clock = iter(range(10_000))
    monkeypatch.setattr("everyhop.migrate.steps.time.monotonic", lambda: float(next(clock)))
    monkeypatch.setattr("everyhop.migrate.steps.PAUSE_S", 0.0)
    said: list[str] = []
    it = Migration(file, "r", Asked(ca="one-ca.pem", name="b.test", present="i"), said.append)
    it.running = cast("Running", edge)
    return it, Journal(place_of(file, "r"), TEXT, ["127.0.0.1:1", "127.0.0.1:2"], it.asked), said


@pytest.mark.parametrize("watch_s", [0, 30])
def test_an_engine_that_is_silent_for_a_while_is_waited_for(
    watch_s: float, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge = Edge(silent=5)
    it, journal, said = moving(file, edge, monkeypatch)
    assert it.move(journal, 0, watch_s) is None
    assert edge.looks > 5 and "nobody asked for it meanwhile" in said[-1]
    assert file.read_text() != TEXT and journal.watched == [0]


def test_a_moved_backend_of_which_nothing_is_known_for_long_is_put_back(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    it, journal, said = moving(file, Edge(silent=999), monkeypatch)
    why = it.move(journal, 0, 5)
    assert why == "how it does is not known: the engine does not answer"
    assert said[1:] == [f"127.0.0.1:1  {why}", "127.0.0.1:1 -> 127.0.0.1:1  put back"]
    assert entry_of(file) == "127.0.0.1:1" and journal.watched == []


def test_one_that_cannot_be_put_back_is_told_with_the_way_back(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edge = Edge(silent=999, takes=1)
    it, journal, _ = moving(file, edge, monkeypatch)
    with pytest.raises(
        Surroundings, match=r"^127\.0\.0\.1:1 is moved, and could not be put back: the running edge did"
    ) as found:
        it.move(journal, 0, 5)
    assert found.value.more[0] == "  more of it" and "everyhop migrate r --back" in found.value.more[1]
    text = file.read_text()
    assert entry_of(file) != "127.0.0.1:1"
    with pytest.raises(Silent):
        it.back()
    assert file.read_text() == text and kept(file, "r") is not None, "the way back is open while the engine is silent"
    edge.takes = 99
    monkeypatch.setattr(edge, "status", lambda: {})
    assert it.back() and file.read_text() == TEXT


def entry_of(file: Path) -> object:
    return Written(file, "r").route()["to"][0]

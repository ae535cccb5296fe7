"""What a migration goes by is what is noted once it is alone, and not what was noted before another that was at work."""

from __future__ import annotations

from pathlib import Path

import pytest

from everyhop.demo.certificates import Authority
from everyhop.errors import Misuse, Surroundings
from everyhop.migrate import Asked, Migration
from everyhop.migrate.edit import with_entry
from everyhop.migrate.journal import Journal, kept, place_of
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

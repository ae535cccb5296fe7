"""That the tests which `make mutants` asks say the truth of each mutation: of those in functions, of those that are done on import, and
of those that only one test ran.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.edge import until
from tools.mutants.ready import Unready, place

ROOT = Path(__file__).resolve().parents[3]
TEXT = """\
from functools import lru_cache

MOST = 3


@lru_cache
def fits(n: int) -> bool:
    if n > MOST:
        return False
    try:
        return [it for it in range(n)] != [1]
    except ValueError:
        return True


class Box:
    def __init__(self, size: int = 2) -> None:
        self.size = size

    def seen(self) -> int:
        return self.size + 1
"""
TESTS = """\
from everyhop.thing import Box, fits


def test_fits(): assert fits(3) and not fits(4)


def test_size(): assert Box().size == 2


def test_seen(): Box(1).seen()
"""


@pytest.mark.parametrize(
    ("row", "function", "span"),
    [
        (8, (8, 13), (8, 8)),
        (9, (8, 13), (9, 9)),
        (10, (8, 13), (10, 10)),
        (12, (8, 13), (8, 13)),
        (18, (18, 18), (18, 18)),
    ],
)
def test_whoever_ran_the_statement_is_asked_and_of_a_clause_whoever_ran_the_function(
    row: int, function: tuple[int, int], span: tuple[int, int]
) -> None:
    lines = TEXT.splitlines()
    lines[row - 1] += "  # broken"
    it = place("thing.py", TEXT, "\n".join(lines))
    assert (it.function, it.span) == (function, span)
    assert it.outermost == (6 if row < 18 else 17)


@pytest.mark.parametrize("row", [3, 6, 7, 16, 17])
def test_of_what_is_done_on_import_is_asked_from_a_new_start(row: int) -> None:
    lines = TEXT.splitlines()
    lines[row - 1] += "  # broken"
    with pytest.raises(Unready):
        place("thing.py", TEXT, "\n".join(lines))


@pytest.mark.thorough
def test_a_mutation_is_killed_where_a_test_fails_by_it_and_survives_where_none_does(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "python/everyhop").mkdir(parents=True)
    (tree / "tests").mkdir()
    for empty in ("pytest.ini", "tests/__init__.py", "python/everyhop/__init__.py"):
        (tree / empty).touch()
    (tree / "tests/test_thing.py").write_text(TESTS)
    file, door = tree / "python/everyhop/thing.py", tmp_path / "ask"
    file.write_text(TEXT)
    words = [sys.executable, "-m", "tools.mutants.warm", "../ask", "python/everyhop/thing.py", "tests/test_thing.py"]
    env = {**os.environ, "PYTHONPATH": f"{tree / 'python'}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}

    def says(before: str, after: str) -> str:
        assert before in TEXT
        file.write_text(TEXT.replace(before, after))
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(door))
            return asking.makefile().read()

    with subprocess.Popen(words, cwd=tree, env=env) as answering:
        try:
            until(lambda: door.exists() or answering.poll() is not None)
            assert says("n > MOST", "n >= MOST") == "killed"
            assert says("!= [1]", "!= [2]") == "survived"
            assert says("!= [1]", "== [1]") == "killed"
            assert says("return True", "return False") == "survived"  # no test runs it
            assert says("self.size + 1", "self.size + 2") == "survived"  # one runs it, and looks at nothing
            assert says("self.size + 1", "self.size.none") == "killed"
            assert says("MOST = 3", "MOST = 4") == "killed"
            assert says("size: int = 2", "size: int = 3") == "killed"
            assert says("self.size + 1", "self.size +") == "killed"  # it does not compile
            assert says("n > MOST", "n > MOST ") == "survived"
        finally:
            answering.terminate()
    assert answering.returncode == -15

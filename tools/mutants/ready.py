"""Tests that stand ready: collected once, all imported with nothing broken. A mutation of a function is put into it in a process forked
from there, and only the tests are asked that ran the broken line when nothing was broken: no other can tell. What is done on import
cannot be asked of here, for which `warm.py` starts afresh; `Unready` says so.
"""

from __future__ import annotations

import ast
import gc
import json
import os
import shutil
import socket
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType

import pytest

Lines = set[tuple[str, int]]


class Unready(Exception):
    """This mutation changes more than what functions do."""


@dataclass(frozen=True)
class Place:
    """What is broken. `outermost` and `function` are lines at which functions begin; `span` is that of the statement."""

    file: str
    outermost: int
    function: tuple[int, int]
    span: tuple[int, int]

    def within(self, lines: Lines, span: tuple[int, int]) -> bool:
        return any((self.file, row) in lines for row in range(span[0], span[1] + 1))


def place(file: str, text: str, now: str) -> Place:
    """Raises `Unready` where it is what is done on import."""
    before, after = text.splitlines(), now.splitlines()
    row = next((n for n, (a, b) in enumerate(zip(before, after, strict=False), 1) if a != b), len(before))
    tree = ast.parse(text)
    # They are walked from the outermost to the innermost.
    functions = [it for it in ast.walk(tree) if isinstance(it, ast.FunctionDef)]
    around = [it for it in functions if it.body[0].lineno <= row <= (it.end_lineno or 0)]
    if not around:
        raise Unready
    first, last = around[-1].body[0].lineno, around[-1].end_lineno or 0
    spans = [heading(it) for it in ast.walk(around[-1]) if isinstance(it, ast.stmt) and it is not around[-1]]
    # The shortest; a clause that is no statement, such as `except`, is taken for the whole function.
    found = min((it for it in spans if it[0] <= row <= it[1]), key=lambda it: it[1] - it[0], default=(first, last))
    return Place(file, begin(around[0]), (first, last), found)


def begin(it: ast.FunctionDef) -> int:
    return min([it.lineno, *(d.lineno for d in it.decorator_list)])


def heading(it: ast.stmt) -> tuple[int, int]:
    """The lines of a statement, without those that are of statements within."""
    inner = getattr(it, "body", None) or getattr(it, "cases", None)
    if not inner:
        return it.lineno, it.end_lineno or it.lineno
    first = inner[0].pattern.lineno if isinstance(it, ast.Match) else inner[0].lineno
    return it.lineno, max(it.lineno, first - 1)


def codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for it in code.co_consts:
        if isinstance(it, CodeType):
            yield from codes(it)


class Ready:
    """A plugin of pytest, which answers in the place of its loop: of each mutation whether a test notices."""

    def __init__(
        self,
        door: socket.socket,
        whole: Mapping[str, str],
        ran: Mapping[str, Lines],
        apart: Callable[[Callable[[], int]], int],
    ) -> None:
        self.door, self.whole, self.ran, self.apart = door, whole, ran, apart
        self.functions: dict[tuple[str, int], list[FunctionType]] = defaultdict(list)
        self.best: dict[Place | tuple[str, int], list[str]] = defaultdict(list)
        self.on_import = ran.get("", set())

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        files = {str(Path(file).resolve()): file for file in self.whole}
        for it in gc.get_objects():
            if isinstance(it, FunctionType) and (file := files.get(it.__code__.co_filename)):
                self.functions[file, it.__code__.co_firstlineno].append(it)
        gc.collect()
        gc.freeze()
        base = session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
        with self.door.makefile("rw") as asked:
            for line in asked:
                try:
                    answer = self.answer(session, json.loads(line))
                except Unready:
                    answer = "unready"
                asked.write(f"{answer}\n")
                asked.flush()
                for left in base.iterdir():
                    shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)
        shutil.rmtree(base, ignore_errors=True)
        os._exit(0)

    def answer(self, session: pytest.Session, file: str) -> str:
        now = Path(file).read_text()
        it = place(file, self.whole[file], now)
        swapped = self.functions.get((file, it.outermost))
        if not swapped or it.within(self.on_import, it.function):
            raise Unready
        code = swapped[0].__code__
        try:
            compiled = compile(now, code.co_filename, "exec", dont_inherit=True)
        except SyntaxError:
            return "killed"  # whoever imports it notices
        broken = [c for c in codes(compiled) if (c.co_qualname, c.co_firstlineno) == (code.co_qualname, it.outermost)]
        if len(broken) != 1 or broken[0].co_freevars != code.co_freevars:
            raise Unready
        told = {row for c in codes(code) for _, _, row in c.co_lines() if row}
        span = it.span if told & {*range(it.span[0], it.span[1] + 1)} else it.function
        chosen = [test for test, lines in self.ran.items() if test and it.within(lines, span)]
        # Whoever noticed the last in this function is likely to notice the next.
        likely = [test for test in self.best[file, it.outermost] if test in chosen]
        at = {test: n for n, test in enumerate(dict.fromkeys([*likely, *chosen]))}
        noticed = Path("../noticed.ready")
        noticed.unlink(missing_ok=True)
        items = sorted((item for item in session.items if item.nodeid in at), key=lambda item: at[item.nodeid])
        if not items or not self.apart(partial(run, session, items, swapped, broken[0], noticed)):
            return "survived"
        if noticed.exists():
            test = noticed.read_text()
            best = self.best[file, it.outermost]
            self.best[file, it.outermost] = [test, *(other for other in best if other != test)]
        return "killed"


def run(
    session: pytest.Session, items: list[pytest.Item], swapped: list[FunctionType], code: CodeType, noticed: Path
) -> int:
    for it in swapped:
        it.__code__ = code
    for this, following in zip(items, [*items[1:], None], strict=True):
        this.config.hook.pytest_runtest_protocol(item=this, nextitem=following)
        if session.testsfailed:
            noticed.write_text(this.nodeid)
            session._setupstate.teardown_exact(None)
            return 1
    return 0

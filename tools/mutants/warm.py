"""Asks the tests about one mutation after the other. Those of what functions do are asked of by `ready.py`; what is done on import,
here, from a process that has imported already what no mutation touches, and each is judged in a process forked from it.

Runs in the copy of the tree, which is its folder: `python -m tools.mutants.warm SOCKET MODULES TESTS`, lists by commas. Read
next: `ready.py`, and `ask.py`, which is what cosmic-ray starts each time.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.util
import json
import os
import resource
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import hypothesis
import pytest

from tools.mutants.ready import Ready
from tools.mutants.resting import Resting

TIMEOUT_S = 120.0
"""Of the processor's time: a machine that is busy with something else makes no mutation a noticed one."""
OPTIONS = ("-x", "-q", "--no-header", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning")
Line = tuple[str, int]
IMPORT = ""
"""Stands for a test's name while modules are imported."""


class Rehearsal:
    """The tests with nothing broken: which lines each of them runs."""

    def __init__(self, files: list[str]) -> None:
        self.files = {str(Path(file).resolve()): file for file in files}
        self.ran: dict[str, set[Line]] = defaultdict(set)
        self.test = IMPORT
        self.left: dict[tuple[str, CodeType], set[int]] = {}
        """Lines that the test has not run yet; where none is left nobody looks, which is what takes long."""
        self.lost: list[str] = []

    def seen(self, frame: FrameType, event: str, _: object) -> Any:
        code = frame.f_code
        if code.co_filename not in self.files:
            return None
        # Code of two files may be equal.
        it = (code.co_filename, code)
        if it not in self.left:
            self.left[it] = {row for _, _, row in code.co_lines() if row}
        return self.line if self.left[it] else None

    def line(self, frame: FrameType, event: str, _: object) -> Any:
        left = self.left.get((frame.f_code.co_filename, frame.f_code), set())
        if event == "line" and frame.f_lineno in left:
            left.discard(frame.f_lineno)
            self.ran[self.test].add((self.files[frame.f_code.co_filename], frame.f_lineno))
        return self.line if left else None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        # What one test left in a cache, the next would not run.
        for file in self.files.values():
            for it in vars(sys.modules.get(dotted(file), object)).values():
                if clear := getattr(it, "cache_clear", None):
                    clear()
        self.test = item.nodeid
        self.ran[self.test] = set()
        self.left.clear()
        self.watch()
        try:
            return (yield)
        finally:
            # A recursion that is too deep for one call more ends the watching, and nobody is told.
            if sys.gettrace() != self.seen:
                self.lost.append(self.test)
            self.test = IMPORT
            self.left.clear()

    def watch(self) -> None:
        threading.settrace(self.seen)
        sys.settrace(self.seen)

    def known(self) -> dict[str, list[Line]]:
        """What each test ran; one that was lost sight of may have run anything."""
        anything = {it for ran in self.ran.values() for it in ran}
        return {test: sorted(anything if test in self.lost else ran) for test, ran in self.ran.items()}


class Chosen:
    """Only these tests, in this order; where one notices, it is written down."""

    def __init__(self, tests: list[str], noticed: Path) -> None:
        self.at = {test: at for at, test in enumerate(tests)}
        self.noticed = noticed

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted((it for it in items if it.nodeid in self.at), key=lambda it: self.at[it.nodeid])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.noticed.write_text(report.nodeid)


def main(at: str, files: list[str], tests: list[str]) -> None:
    told = Path(f"{at}.rehearsal")
    if apart(partial(rehearse, files, tests, told), TIMEOUT_S * 5):
        sys.exit("the tests fail with nothing broken")
    known = json.loads(told.read_text())
    # Compiled once, but what is broken: it may change twice in a second, which is all that a date tells.
    for file in files:
        Path(importlib.util.cache_from_source(str(Path(file).resolve()))).unlink(missing_ok=True)
    sys.dont_write_bytecode = True
    warm(known["modules"], {dotted(file) for file in files})
    whole = {file: Path(file).read_text() for file in files}
    ran = {test: {tuple(it) for it in lines} for test, lines in known["ran"].items()}
    gc.collect()
    gc.freeze()
    ready = standing(tests, whole, ran)
    chosen = [test for test in ran if test != IMPORT]
    best = ""
    noticed = Path(f"{at}.noticed")
    with socket.socket(socket.AF_UNIX) as door, ready.makefile("rw") as asked:
        Path(f"{at}.new").unlink(missing_ok=True)
        door.bind(f"{at}.new")
        door.listen()
        Path(f"{at}.new").rename(at)
        while True:
            asking, _ = door.accept()
            with asking:
                answer, changed = "unready", broken(whole)
                if changed is not None:
                    asked.write(f"{json.dumps(changed)}\n")
                    asked.flush()
                    # Where it is gone the silence is an error, and no answer.
                    answer = asked.readline().strip()
                    if not answer:
                        sys.exit("the tests that stood ready are gone")
                if answer == "unready":
                    noticed.unlink(missing_ok=True)
                    # Whoever noticed the last by itself first: to collect all files takes longer than to ask one test.
                    wrong = any(
                        apart(partial(judged, tests, those, noticed), TIMEOUT_S)
                        for those in ([best], chosen)
                        if any(those)
                    )
                    if wrong and noticed.exists():
                        best = noticed.read_text()
                    answer = "killed" if wrong else "survived"
                asking.sendall(answer.encode())


def standing(tests: list[str], whole: dict[str, str], ran: dict[str, set[Line]]) -> socket.socket:
    """Where those can be asked that stand ready, in a process of their own, which ends with this one."""
    here, there = socket.socketpair()
    if os.fork():
        there.close()
        return here
    try:
        here.close()
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 1)
        at_random_but_once()
        # pytest tidies what it finds of runs before, of others too.
        own = f"--basetemp={tempfile.mkdtemp(prefix='mutants-')}"
        pytest.main([*OPTIONS, own, *tests], plugins=[Ready(there, whole, ran, partial(apart, seconds=TIMEOUT_S))])
    finally:
        os._exit(1)


def judged(tests: list[str], chosen: list[str], noticed: Path) -> int:
    os.dup2(1, 2)
    at_random_but_once()
    files = {test.partition("::")[0] for test in chosen}
    of_these = [it for it in tests if it.partition("::")[0] in files]
    code = pytest.main([*OPTIONS, *of_these], plugins=[Chosen(chosen, noticed)])
    # Tests that are named otherwise now were not asked, and nobody noticed.
    return 0 if code == pytest.ExitCode.NO_TESTS_COLLECTED else code


def at_random_but_once() -> None:
    """Tests by random examples say that one fails, and do not look for the smallest that does; all draw the same ones, however
    long that takes: they are watched once, and the machine may be busy."""
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile(
        "mutants",
        phases=phases,
        database=None,
        derandomize=True,
        deadline=None,
        suppress_health_check=[*hypothesis.HealthCheck],
    )
    hypothesis.settings.load_profile("mutants")


def rehearse(files: list[str], tests: list[str], told: Path) -> int:
    sys.dont_write_bytecode = False
    at_random_but_once()
    watch = Rehearsal(files)
    watch.watch()
    wrong = pytest.main([*OPTIONS, *tests], plugins=[watch])
    sys.settrace(None)
    watch.ran.setdefault(IMPORT, set())
    modules = [name for name in sys.modules if not name.startswith(("tests", "__"))]
    told.write_text(json.dumps({"modules": modules, "ran": watch.known()}))
    return wrong


def apart(do: Callable[[], int], seconds: float) -> int:
    """What `do` says in a process of its own; what does not end in so much of the processor's time is wrong."""
    child = os.fork()
    if not child:
        wrong = 1
        try:
            os.setsid()
            resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds)))
            sink = os.open(os.devnull, os.O_WRONLY)
            os.dup2(sink, 1)
            wrong = int(do())
        finally:
            os._exit(wrong)
    resting, look = Resting(child), time.monotonic() + 1
    pause = 0.001
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > look:
            look += 1
            if resting.looked():
                os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return 1
        time.sleep(pause)
        pause = min(pause * 1.2, 0.05)


def warm(modules: list[str], mutated: set[str]) -> None:
    """Imports all that the tests import and that does not import what is mutated."""
    for name in modules:
        if name.split(".")[0] == "everyhop" and apart(partial(touches, name, mutated), TIMEOUT_S):
            continue
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def touches(name: str, mutated: set[str]) -> int:
    importlib.import_module(name)
    return bool(mutated & {*sys.modules})


def dotted(file: str) -> str:
    return ".".join(Path(file).relative_to("python").with_suffix("").parts).removesuffix(".__init__")


def broken(whole: dict[str, str]) -> str | None:
    """The file that is broken now."""
    return next((file for file, text in whole.items() if Path(file).read_text() != text), None)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2].split(","), sys.argv[3].split(","))

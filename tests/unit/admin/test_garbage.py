"""What runs for long is not looked through again and again, and nothing is held for ever by that."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from everyhop.admin.reload import Reload
from everyhop.compile import Compiled, compile_file
from everyhop.garbage import stays, uncollected

ROUTE = '[[route]]\nname = "r{n}"\nhost = "h{n}.test"\ntls = "passthrough"\nto = ["127.0.0.1:1"]\n'
HEAD = 'version = 1\n[[listener]]\nname = "l"\nbind = ["127.0.0.1:1"]\n'


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    """Other tests find it as it was."""
    yield
    gc.unfreeze()


def plan_of(folder: Path, routes: int) -> Compiled:
    (path := folder / "everyhop.toml").write_text(HEAD + "".join(ROUTE.format(n=n) for n in range(routes)))
    return compile_file(path)


def test_what_ran_before_is_let_go_though_nobody_looks_through_it(tmp_path: Path) -> None:
    """A reload each minute must not hold a plan more each minute: what stays is in no circle."""
    counts, routes = [], 50
    running = plan_of(tmp_path, routes)
    before = weakref.ref(running.plan)
    for _ in range(8):
        running = Reload.compiled(cast(Any, SimpleNamespace(path=tmp_path / "everyhop.toml", running=running)))
        counts.append(gc.get_freeze_count())
    assert before() is None
    one = len(running.plan.routes) * 3
    assert counts[-1] - counts[2] < one, f"{counts}: less than the models of a single plan"


def test_what_stays_is_not_looked_through(tmp_path: Path) -> None:
    running = plan_of(tmp_path, 200)
    stays()
    assert len(gc.get_objects()) < 200, "of what is there, all is out of the way but what was made just now"
    assert len(running.plan.routes) == 200


def test_nothing_is_collected_while_what_stays_is_made_and_everything_afterwards() -> None:
    with uncollected():
        assert not gc.isenabled()
        with uncollected():
            assert not gc.isenabled()
        assert not gc.isenabled(), "whoever turned it off turns it on"
    assert gc.isenabled()

"""What is drained, in the plan that runs and in what outlives a supervisor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from everyhop.admin.drains import Drains, over
from everyhop.compile import Compiled, compile_file
from everyhop.errors import Surroundings
from everyhop.plan import AtBackend, AtEdge, read_plan

TEXT = """version = 1
[[listener]]
name = "l"
bind = ["127.0.0.1:8443"]
[[site]]
name = "s"
hosts = ["a.test"]
certs = [{ chain = "x", key = "file:y" }]
[[route]]
name = "r"
host = "a.test"
tls = "plaintext"
to = ["127.0.0.1:1", { at = "[::1]:2", weight = 3 }, { at = "127.0.0.1:3", backup = true }]
balance = "least-requests"
[[route]]
name = "p"
host = "p.test"
tls = "passthrough"
to = ["127.0.0.1:1", "127.0.0.1:2"]
[[route]]
name = "own"
host = "a.test"
path = "/own"
answer = { status = 200, text = "x" }
"""


@pytest.fixture
def compiled() -> Compiled:
    return compile_file("c.toml", files="skip", text=TEXT)


@pytest.fixture
def kept(runtime: Path) -> Callable[[], Drains]:
    return lambda: Drains(runtime / "c.toml")


def weights(compiled: Compiled, route: int) -> list[int]:
    way = compiled.plan.routes[route].way
    assert isinstance(way, AtBackend | AtEdge)
    return [share.weight for share in way.spread.shares] if way.spread else []


def test_the_plan_gives_it_nothing_and_changes_nothing_else(compiled: Compiled) -> None:
    it = over(compiled, {"r": frozenset({"[::1]:2"}), "p": frozenset({"127.0.0.1:1"}), "own": frozenset({"x"})})
    assert (weights(it, 0), weights(it, 1)) == ([1, 0, 1], [0, 1])
    assert read_plan(it.plan_json) == it.plan and it.plan_digest != compiled.plan_digest
    way, before = it.plan.routes[0].way, compiled.plan.routes[0].way
    assert isinstance(way, AtEdge) and isinstance(before, AtEdge) and way.spread and before.spread
    assert way.spread.by == before.spread.by and way.backends == before.backends
    assert it.plan.routes[2] is compiled.plan.routes[2]
    assert over(compiled, {"r": frozenset({"127.0.0.1:9"}), "gone": frozenset({"127.0.0.1:1"})}) is compiled


def test_it_outlives_a_supervisor_until_it_is_ended(compiled: Compiled, kept: Callable[[], Drains]) -> None:
    assert kept().begin(compiled.plan, "r", "[0::1]:2", lambda: None)["switched"], "in any form of the address"
    again = kept()
    assert again.drained == {"r": frozenset({"[::1]:2"})} and again.file.path.stat().st_mode & 0o777 == 0o600
    assert again.told(compiled.plan) == [
        {"route": "r", "at": "[::1]:2", "holds": True, "left": ["127.0.0.1:1", "127.0.0.1:3"]}
    ]
    assert again.end(compiled.plan, "r", "[::1]:2", lambda: None)["switched"]
    assert kept().drained == {} and not again.file.path.exists()


def test_what_makes_no_sense_is_told_and_changes_nothing(compiled: Compiled, kept: Callable[[], Drains]) -> None:
    it, plan = kept(), compiled.plan
    assert it.begin(plan, "p", "127.0.0.1:1", lambda: None)["switched"]
    for route, at, why in (
        ("x", "127.0.0.1:1", "there is no route 'x'; there are r, p, own"),
        ("own", "127.0.0.1:1", "there is no backend"),
        ("r", "127.0.0.1:9", "has no backend '127.0.0.1:9'; it has 127.0.0.1:1, [::1]:2, 127.0.0.1:3"),
        ("p", "127.0.0.1:1", "is drained already"),
        ("p", "127.0.0.1:2", "is the last backend of route 'p' that takes anything"),
    ):
        told = it.begin(plan, route, at, lambda: pytest.fail("nothing is brought"))
        assert told["switched"] is False and why in str(told["why"]), told
    assert "is not drained" in str(it.end(plan, "r", "127.0.0.1:1", lambda: pytest.fail("nothing is brought"))["why"])
    last = it.begin(plan, "p", "127.0.0.1:2", lambda: None, last_too=True)
    assert last["switched"] and last["left"] == []


def test_an_engine_that_does_not_take_it_leaves_everything_as_it_was(
    compiled: Compiled, kept: Callable[[], Drains]
) -> None:
    def refuses() -> None:
        raise Surroundings("no")

    it = kept()
    assert it.begin(compiled.plan, "r", "127.0.0.1:1", refuses) == {"switched": False, "why": "no"}
    assert it.drained == {} and kept().drained == {}


@pytest.mark.parametrize("wrong", ["", "{", "[]", '{"config": "@", "kept": {"r": 3}}', '{"config": "@", "kept": {"r": []}}'])  # fmt: skip
def test_what_cannot_be_read_stops_nobody(wrong: str, kept: Callable[[], Drains]) -> None:
    it = kept()
    it.file.path.write_text(wrong.replace("@", it.file.config))
    assert kept().drained == {}

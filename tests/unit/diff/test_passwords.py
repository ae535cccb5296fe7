"""Who gets in by a name and a password: each name more is told, and of a hash nothing is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from everyhop.compile import compile_file
from everyhop.diff import compare
from everyhop.plan import Plan
from tests.refusals.test_cases import ARGON2, BCRYPT
from tests.unit.diff.test_gate import plan, refused, route, told

ASKS = plan(route("r", more='basic = { file = "users" }\n'))


def with_users(it: Plan, *names: str) -> Plan:
    """As if the file had been read."""
    way = it.routes[0].way
    assert way.ends == "at_edge" and way.basic is not None
    basic = way.basic.model_copy(update={"names": sorted(names)})
    changed = it.routes[0].model_copy(update={"way": way.model_copy(update={"basic": basic})})
    return it.model_copy(update={"routes": [changed, *it.routes[1:]]})


def test_a_password_that_is_asked_for_no_more_lets_more_in_and_one_that_is_fewer() -> None:
    free = plan(route("r"))
    assert refused(ASKS, free) == {"password-dropped:r"}
    assert refused(free, ASKS) == set()
    (dropped,), (demanded,) = told(ASKS, free, "password-dropped"), told(free, ASKS, "password-demanded")
    assert demanded.what == "a password of users is asked for" and dropped.what == f"{demanded.what} no more"
    strips = plan(route("r", more='basic = { file = "users", strip = true }\n'))
    assert refused(strips, ASKS) == {"password-dropped:r"} and refused(ASKS, strips) == set()
    assert refused(ASKS, plan(route("r", more='basic = { file = "other" }\n'))) == {"users-moved:r"}
    assert refused(ASKS, plan(route("r", more='basic = { file = "users", realm = "x" }\n'))) == set()


def test_who_is_added_and_who_is_gone_is_told_by_name() -> None:
    old, new = with_users(ASKS, "alice", "bob"), with_users(ASKS, "bob", "carol", "dave")
    said = {(it.kind, it.direction, it.what) for it in compare(old, new)}
    assert said == {
        ("user-added", "weaker", "carol, dave may sign in"),
        ("user-removed", "stronger", "alice may sign in no more"),
    }
    assert refused(old, with_users(ASKS, "bob")) == set()


def test_a_file_that_cannot_be_read_here_is_said_to_be_unknown() -> None:
    known = with_users(ASKS, "alice")
    assert refused(known, ASKS) == refused(ASKS, known) == {"users-unknown:r"}
    assert refused(ASKS, ASKS) == set()


def test_a_backend_that_others_reach_by_a_password_is_opened_by_a_route_without_one_or_with_other_users() -> None:
    asks = 'basic = { file = "users" }\n'
    old = with_users(plan(route("r", more=asks)), "alice")
    other = route("s", host="b.test")
    free = with_users(plan(route("r", more=asks), other), "alice")
    (opened,) = [it for it in compare(old, free) if it.kind == "backend-opened"]
    assert "any client reaches" in opened.what and "only any client with the password of alice did" in opened.what
    for names, weaker in ((["alice"], False), (["alice", "bob"], True)):
        both = plan(route("r", more=asks), other + asks)
        both = with_users(both.model_copy(update={"routes": both.routes[::-1]}), *names)
        both = with_users(both.model_copy(update={"routes": both.routes[::-1]}), "alice")
        assert ("backend-opened:s" in refused(old, both)) == weaker, names
    moved = with_users(plan(route("r", more=asks), route("s", more='path = "/s"\n')), "alice")
    assert refused(old, moved) == {"password-dropped:s"}


@pytest.mark.parametrize("files", ["if-there", "read"])
def test_names_are_in_the_plan_where_the_file_is_read_and_no_hash_is(tmp_path: Path, files: str) -> None:
    (tmp_path / "users").write_text(f"bob:{ARGON2}\nalice:{BCRYPT}\n")
    config = tmp_path / "c.toml"
    config.write_text(
        'version = 1\n[[listener]]\nname = "web"\nbind = ["127.0.0.1:8080"]\nspeaks = "http"\nserve = true\n'
        '[[site]]\nname = "s"\nhosts = ["a.test"]\n'
        '[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:1"]\nbasic = { file = "users" }\n'
    )
    made = compile_file(config, files=files)  # type: ignore[arg-type]
    way = made.plan.routes[0].way
    assert way.ends == "at_edge" and way.basic is not None and way.basic.names == ["alice", "bob"]
    assert made.comparable and "$2" not in made.plan_json and "$argon2" not in made.plan_json
    unread = compile_file(config, files="skip")
    assert not unread.comparable and "users was not read" in unread.reservation
    if files == "read":
        assert BCRYPT not in repr(made.material) and b"users/users" in made.material.blob

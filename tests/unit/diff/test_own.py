"""What the edge answers itself, before and after an edit."""

from __future__ import annotations

import datetime as dt

from everyhop.compile import compile_file
from everyhop.diff import Change, compare

HEAD = """version = 1
[[listener]]
name = "l"
bind = ["127.0.0.1:8443"]
[[site]]
name = "s"
hosts = ["a.test"]
certs = [{ chain = "x", key = "file:y" }]
clients = { ca = "d", mode = "ask" }
[[route]]
name = "r"
host = "a.test"
"""
CARRIED = 'tls = "plaintext"\nto = ["127.0.0.1:1"]\n'
LED = 'redirect = { to = "https://b.test{path}" }\n'
TOLD = 'answer = { status = 503, text = "down" }\n'


def changes(old: str, new: str) -> list[Change]:
    now = dt.datetime(2026, 11, 26, tzinfo=dt.UTC)
    return compare(*(compile_file("c.toml", now=now, files="skip", text=HEAD + it).plan for it in (old, new)))


def kinds(old: str, new: str) -> set[tuple[str, str]]:
    return {(it.direction, it.kind) for it in changes(old, new)}


def test_another_answer_and_another_target_are_told() -> None:
    (it,) = changes(LED, LED.replace("b.test", "c.test"))
    assert (it.direction, it.kind) == ("neutral", "answer-changed")
    assert "308 to https://b.test{path}" in it.what and "https://c.test{path}" in it.what
    (it,) = changes(TOLD, TOLD.replace("down", "up"))
    assert it.what == "the edge answered 503 with content-type: text/plain; charset=utf-8 and 'down', now 503 with content-type: text/plain; charset=utf-8 and 'up'"  # fmt: skip
    (it,) = changes(TOLD, TOLD.replace("down", "x" * 99))
    assert it.what.endswith(f"and '{'x' * 60}'")
    assert changes(LED, LED) == []


def test_a_route_that_loses_its_backend_loses_readers_and_one_that_gets_one_gets_readers() -> None:
    assert kinds(CARRIED, LED) == {
        ("neutral", "answered-here"),
        ("neutral", "backend-removed"),
        ("stronger", "reader-gone"),
    }
    assert kinds(TOLD, CARRIED) == {
        ("neutral", "answered-behind"),
        ("neutral", "backend-added"),
        ("weaker", "new-reader"),
    }


def test_who_is_let_in_counts_as_on_any_route() -> None:
    allow = 'allow = { clients = ["one"] }\n'
    assert kinds(LED + allow, LED) == {("weaker", "clients-widened")}
    assert ("weaker", "clients-widened") in kinds(CARRIED + allow, TOLD)

"""What is down for maintenance, in the plan that runs and in what outlives a supervisor."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from everyhop.admin.maintenance import Down, Maintenance, over
from everyhop.cli.maintenance import moment, read_html
from everyhop.compile import Compiled, compile_file
from everyhop.errors import Misuse, Surroundings
from everyhop.plan import Here, read_plan

NOW = dt.datetime.now(dt.UTC)
LATER = NOW + dt.timedelta(hours=1)
TEXT = """version = 1
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
path = "/x"
method = "GET"
allow = { clients = ["one"] }
tls = "plaintext"
to = ["127.0.0.1:1"]
[[route]]
name = "p"
host = "p.test"
tls = "passthrough"
to = ["127.0.0.1:1"]
"""


@pytest.fixture
def compiled() -> Compiled:
    return compile_file("c.toml", files="skip", text=TEXT)


@pytest.fixture
def kept(runtime: Path) -> Callable[[], Maintenance]:
    return lambda: Maintenance(runtime / "c.toml")


def test_the_plan_says_that_the_edge_answers_and_lets_in_whom_it_let_in(compiled: Compiled) -> None:
    shut = over(compiled, {"r": Down(LATER, "down"), "p": Down(LATER, "down")})
    way, before = shut.plan.routes[0].way, compiled.plan.routes[0].way
    assert isinstance(way, Here) and not isinstance(before, Here) and before.ends == "at_edge"
    assert (way.path, way.methods, way.allow_clients) == (before.path, before.methods, ["one"])
    assert shut.plan.routes[1] == compiled.plan.routes[1], "what passes through cannot be answered"
    assert read_plan(shut.plan_json) == shut.plan and shut.plan_digest != compiled.plan_digest


def test_what_is_not_there_changes_nothing(compiled: Compiled) -> None:
    assert over(compiled, {"other": Down(LATER, "down"), "p": Down(LATER, "down")}) is compiled


def test_it_outlives_a_supervisor_until_its_time(compiled: Compiled, kept: Callable[[], Maintenance]) -> None:
    first = kept()
    assert first.switch(compiled.plan, "r", LATER, (None, False), NOW, lambda: None)["switched"]
    second = kept()
    assert second.down == first.down and second.file.path.stat().st_mode & 0o777 == 0o600
    assert second.kept(LATER) == {} and not second.file.path.exists()


def test_a_page_outlives_a_supervisor_as_a_page(compiled: Compiled, kept: Callable[[], Maintenance]) -> None:
    assert kept().switch(compiled.plan, "r", LATER, ("<h1>down</h1>", True), NOW, lambda: None)["switched"]
    assert kept().down == {"r": Down(LATER, "<h1>down</h1>", html=True)}
    (route, _) = kept().over(compiled).plan.routes
    assert isinstance(route.way, Here)
    fields = {edit.name: "".join(map(str, edit.value)) for edit in route.way.gives.fields}
    assert fields["content-type"] == "text/html; charset=utf-8"


def test_what_an_older_supervisor_kept_is_text(compiled: Compiled, kept: Callable[[], Maintenance]) -> None:
    it = kept()
    assert it.switch(compiled.plan, "r", LATER, ("down", False), NOW, lambda: None)["switched"]
    found = json.loads(it.file.path.read_text())
    del found["kept"]["r"]["html"]
    it.file.path.write_text(json.dumps(found))
    assert kept().down == {"r": Down(LATER, "down")}


def test_an_engine_that_does_not_take_it_leaves_everything_as_it_was(
    compiled: Compiled, kept: Callable[[], Maintenance]
) -> None:
    def refuses() -> None:
        raise Surroundings("no")

    it = kept()
    assert it.switch(compiled.plan, "r", LATER, (None, False), NOW, refuses) == {"switched": False, "why": "no"}
    assert it.down == {} and kept().down == {}


@pytest.mark.parametrize("wrong", ["", "{", "[]", '{"config": "x"}', '{"config": "@", "kept": {"r": {}}}', '{"config": "@", "kept": 3}'])  # fmt: skip
def test_what_cannot_be_read_is_told_and_stops_nobody(wrong: str, kept: Callable[[], Maintenance]) -> None:
    it = kept()
    it.file.path.write_text(wrong.replace("@", it.file.config))
    assert kept().down == {}


def test_another_files_switches_are_not_taken(compiled: Compiled, kept: Callable[[], Maintenance]) -> None:
    it = kept()
    assert it.switch(compiled.plan, "r", LATER, (None, False), NOW, lambda: None)["switched"]
    found = json.loads(it.file.path.read_text())
    it.file.path.write_text(json.dumps(found | {"config": "/elsewhere.toml"}))
    assert kept().down == {}


def test_a_page_is_read_whole_or_refused_with_its_reason(tmp_path: Path) -> None:
    page = tmp_path / "down.html"
    page.write_text("<h1>sp\u00e4ter</h1>", encoding="utf-8")
    assert read_html(page) == "<h1>sp\u00e4ter</h1>"
    (tmp_path / "pipe.html").mkdir()
    for name, data, why in [
        ("gone.html", None, "No such file"),
        ("pipe.html", None, "a folder and no file"),
        ("down.txt", b"down", "takes a page of HTML"),
        ("large.html", b"x" * (64 * 1024 + 1), "larger than 65536 bytes"),
        ("bytes.html", b"<h1>\xff</h1>", "its byte 4 is none"),
        ("zero.html", b"<h1>\0</h1>", "has a zero byte"),
        ("empty.html", b" \n", "is empty"),
    ]:
        if data is not None:
            (tmp_path / name).write_bytes(data)
        with pytest.raises(Misuse, match=why):
            read_html(tmp_path / name)


def test_a_time_is_from_now_or_a_moment() -> None:
    now = dt.datetime(2026, 11, 26, 12, tzinfo=dt.UTC)
    assert moment("90m", now) == now + dt.timedelta(minutes=90)
    assert moment("2d", now) == now + dt.timedelta(days=2)
    assert moment("2026-12-01T06:00", now) == dt.datetime(2026, 12, 1, 6, tzinfo=dt.UTC)
    assert moment("2026-12-01T06:00+01:00", now) == dt.datetime(2026, 12, 1, 5, tzinfo=dt.UTC)
    for wrong in ("soon", "2 h", "-2h", ""):
        with pytest.raises(Misuse):
            moment(wrong, now)

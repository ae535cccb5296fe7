"""Pages for errors of the edge's own: what of `[pages]` stands in a plan, what goes to the engine, and what is told of one that cannot."""

from __future__ import annotations

import base64
import datetime as dt
from pathlib import Path

import pytest

from everyhop.compile import Compiled, compile_file
from everyhop.compile.compiler import renewed
from everyhop.errors import Refused
from everyhop.refusals import Finding

NOW = dt.datetime(2026, 11, 26, tzinfo=dt.UTC)
TEXT = """version = 1
[[listener]]
name = "l"
bind = ["127.0.0.1:443"]
[[route]]
name = "r"
host = "a.test"
tls = "passthrough"
to = ["127.0.0.1:1"]
[pages]
"""


def compiled(folder: Path, pages: str) -> Compiled:
    return compile_file(folder / "everyhop.toml", now=NOW, text=TEXT + pages)


def found(folder: Path, pages: str) -> list[Finding]:
    with pytest.raises(Refused) as refused:
        compiled(folder, pages)
    return list(refused.value.findings)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "one.html").write_text("<h1>one</h1>")
    (tmp_path / "two.html").write_text("<h1>two</h1>")
    return tmp_path


def test_a_plan_has_the_statuses_first_and_then_the_classes(folder: Path) -> None:
    it = compiled(folder, '5xx = "one.html"\n503 = "two.html"\n4xx = "two.html"\n404 = "one.html"\n400 = "one.html"\n')
    assert [str(page) for page in it.plan.pages] == [
        "400 by one.html",
        "404 by one.html",
        "503 by two.html",
        "4xx by two.html",
        "5xx by one.html",
    ]
    assert (it.plan.pages[-1].first, it.plan.pages[-1].last) == (500, 599)


def test_a_page_is_sent_once_and_watched_however_many_errors_it_is_for(folder: Path) -> None:
    it = compiled(folder, '5xx = "one.html"\n404 = "one.html"\n')
    assert [e["id"] for e in it.material.entries] == ["page/one.html"]
    assert base64.b64encode(b"<h1>one</h1>") in it.material.blob
    assert folder / "one.html" in it.watched
    assert compiled(folder, "").plan.pages == [] and compiled(folder, "").watched == {}


def test_a_page_that_changes_is_other_material_of_the_same_plan(folder: Path) -> None:
    was = compiled(folder, '5xx = "one.html"\n')
    (folder / "one.html").write_text("<h1>anew</h1>")
    now = renewed(was, NOW)
    assert now.plan_digest == was.plan_digest and now.material.digest != was.material.digest
    assert base64.b64encode(b"<h1>anew</h1>") in now.material.blob
    (folder / "one.html").write_text("")
    with pytest.raises(Refused):
        renewed(now, NOW)


def test_only_errors_that_somebody_is_told_have_a_page(folder: Path) -> None:
    for of in ("200", "3xx", "399", "600", "6xx", "499", "5XX", "4x", "44", "404.0", "default", "", "٤٠٤"):
        assert [f.slug for f in found(folder, f'"{of}" = "one.html"\n')] == ["pages/status"], of
    for of in ("400", "599", "4xx", "5xx", "418"):
        assert compiled(folder, f'{of} = "one.html"\n').plan.pages, of


def test_what_is_no_page_is_told_by_its_place_and_why(folder: Path) -> None:
    for name, data, why in (
        ("latin.html", b"<p>zur\xfcck</p>", "no text in UTF-8: its byte 6"),
        ("zero.html", b"<p>\0</p>", "a zero byte"),
        ("blank.html", b" \n", "is empty"),
        ("large.html", b"x" * 65_537, "larger than 65536 bytes"),
    ):
        (folder / name).write_bytes(data)
        (told,) = found(folder, f'5xx = "one.html"\n404 = "{name}"\n')
        assert told.slug == "pages/file" and why in told.what and told.mend, told
        assert (told.place.line, told.place.column) == (12, 7)
    (folder / "whole.html").write_bytes(b"x" * 65_536)
    assert compiled(folder, '404 = "whole.html"\n').plan.pages
    assert [f.slug for f in found(folder, '404 = "none.html"\n')] == ["pages/file"]


def test_a_file_that_is_no_html_by_its_name_is_no_page(folder: Path) -> None:
    (folder / "one.txt").write_text("one")
    (told,) = found(folder, '404 = "one.txt"\n')
    assert told.slug == "pages/file" and "no page of HTML, by its name" in told.what


def test_a_file_may_be_a_page_of_an_answer_and_of_errors_and_is_held_to_both(folder: Path) -> None:
    answer = '[[site]]\nname = "s"\nhosts = ["b.test"]\ncerts = [{ chain = "none", key = "file:none" }]\n[[route]]\nname = "o"\nhost = "b.test"\nanswer = { status = 503, file = "bytes.html" }\n'
    (folder / "bytes.html").write_bytes(b"\xff")
    slugs = [f.slug for f in found(folder, '503 = "bytes.html"\n' + answer)]
    assert {"pages/file", "route/answer-file"} <= set(slugs)
    assert "pages/file" not in [f.slug for f in found(folder, answer)]
    (folder / "bytes.html").write_text(" ")
    slugs = [f.slug for f in found(folder, '503 = "bytes.html"\n' + answer)]
    assert "pages/file" in slugs and "route/answer-file" not in slugs, "an answer may be short"


def test_what_an_answer_calls_text_is_text_and_what_it_calls_bytes_may_be_any(folder: Path) -> None:
    for name, headers, is_well in (
        ("a.html", "", False),
        ("a.JSON", "", False),
        ("a.txt", "", False),
        ("a.txt", ', headers = { Content-Type = "text/plain; charset=latin1" }', True),
        ("a.png", "", True),
        ("a.svg", "", True),
        ("a", "", True),
    ):
        (folder / name).write_bytes(b"\xff")
        more = f'[[route]]\nname = "o"\nhost = "a.test"\npath = "/o"\nanswer = {{ status = 200, file = "{name}"{headers} }}\n'
        slugs = [f.slug for f in found(folder, more)]
        assert ("route/answer-file" not in slugs) == is_well, (name, slugs)

"""A configuration of several files: the same as if it stood in one, each thing told where it stands."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path, PurePath
from typing import Any

import pytest

from everyhop.compile import compile_file
from everyhop.compile.reading import read
from everyhop.compile.rules_include import name_of
from everyhop.errors import Refused
from everyhop.model import Config
from everyhop.source import LISTS, whole
from everyhop.source.document import Document, load
from tests.kit.nursery import everyhop

MAIN = """version = 1
include = ["routes/*.toml", "more.yaml"]
[[listener]]
name = "public"
bind = ["127.0.0.1:8443"]
[[route]]
name = "first"
host = "first.test"
tls = "passthrough"
to = ["10.0.0.1:443"]
"""
ROUTE = """# {name}'s own
[[route]]
name = "{name}"
host = "{name}.test"
tls = "passthrough"
to = ["10.0.0.1:443"]
"""
YAML = """route:
  - name: yam
    host: yam.test
    tls: passthrough
    to: ["10.0.0.1:443"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "routes").mkdir()
    (tmp_path / "everyhop.toml").write_text(MAIN)
    (tmp_path / "more.yaml").write_text(YAML)
    for name in ("b", "a"):
        (tmp_path / "routes" / f"{name}.toml").write_text(ROUTE.format(name=name))
    return tmp_path


def refused(folder: Path) -> list[tuple[str, str]]:
    with pytest.raises(Refused) as e:
        compile_file(folder / "everyhop.toml", files="skip")
    return [(str(f.place.file).removeprefix(f"{folder}/") + f":{f.place.line}", f.slug) for f in e.value.findings]


def test_the_lists_of_included_files_follow_the_main_ones_by_pattern_and_name(folder: Path) -> None:
    made = compile_file(folder / "everyhop.toml", files="skip")
    assert made.route_names == ["first", "a", "b", "yam"]
    one = folder / "one.toml"
    texts = [
        MAIN.replace('include = ["routes/*.toml", "more.yaml"]\n', ""),
        *(ROUTE.format(name=n) for n in ("a", "b", "yam")),
    ]
    one.write_text("".join(texts))
    assert compile_file(one, files="skip").plan_digest == made.plan_digest


def test_each_thing_is_told_where_it_stands(folder: Path) -> None:
    places = {
        name: str(at).removeprefix(f"{folder}/") for name, at in compile_file(folder / "everyhop.toml").places().items()
    }
    assert places == {
        "first": "everyhop.toml:6:3",
        "a": "routes/a.toml:2:3",
        "b": "routes/b.toml:2:3",
        "yam": "more.yaml:2:5",
    }
    (folder / "routes" / "b.toml").write_text(ROUTE.format(name="a"))
    assert refused(folder)[0][0] == "routes/b.toml:3"
    (folder / "routes" / "b.toml").write_text(ROUTE.format(name="b") + "tsl = 1\n")
    assert refused(folder) == [("routes/b.toml:7", "config/unknown-key")]
    (folder / "routes" / "b.toml").write_text(ROUTE.format(name="b").replace('tls = "passthrough"\n', ""))
    assert refused(folder)[0][0] == "routes/b.toml:2"


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("[engine]\nthreads = 1\n", 1),
        ('\ninclude = ["x.toml"]\n', 2),
        ("version = 1\n", 1),
        ('[route]\nname = "x"\n', 1),
    ],
)
def test_an_included_file_holds_lists_and_nothing_else(folder: Path, text: str, at: int) -> None:
    (folder / "routes" / "b.toml").write_text(text)
    assert refused(folder) == [(f"routes/b.toml:{at}", "config/include")]


def test_what_cannot_be_read_in_an_included_file_is_told_there(folder: Path) -> None:
    (folder / "routes" / "b.toml").write_text("[[route]\n")
    assert refused(folder) == [("routes/b.toml:1", "config/syntax")]


def test_a_file_that_cannot_be_read_is_told_at_its_include(folder: Path) -> None:
    (folder / "routes" / "b.toml").unlink()
    os.mkfifo(folder / "routes" / "b.toml")
    assert refused(folder) == [("everyhop.toml:2", "config/include")]


def test_a_file_comes_in_once_and_the_main_one_never(folder: Path) -> None:
    text = MAIN.replace('"more.yaml"', '"routes/a.toml", "*.toml", "routes/../routes/b.toml"')
    (folder / "everyhop.toml").write_text(text)
    (folder / "routes" / "c.toml").symlink_to("a.toml")
    (folder / "routes" / "folder.toml").mkdir()
    (folder / "routes" / ".hidden.toml").write_text("nonsense")
    assert compile_file(folder / "everyhop.toml", files="skip").route_names == ["first", "a", "b"]


def test_given_texts_stand_in_for_what_is_there(folder: Path) -> None:
    made = compile_file(folder / "everyhop.toml", files="skip")
    kept = made.document.included
    assert list(kept) == ["routes/a.toml", "routes/b.toml", "more.yaml"]
    for name in kept:
        (folder / name).unlink()
    again = compile_file(folder / "everyhop.toml", files="skip", text=made.text, included=kept)
    assert again.plan_digest == made.plan_digest
    assert {str(it.file) for it in again.places().values()} == {str(it.file) for it in made.places().values()}


def test_each_pattern_that_finds_nothing_is_told_whatever_the_others_find(folder: Path) -> None:
    (folder / "everyhop.toml").write_text(MAIN.replace('"more.yaml"', '"sites/*.toml", "[ab].toml", "more.yaml"'))
    made = compile_file(folder / "everyhop.toml", files="skip")
    told = [(it.slug, it.severity, it.what) for it in made.findings]
    # Names in a folder are found by no pattern of names beside the main file.
    assert told == [("config/include", "warning", f"{it!r} finds no file") for it in ("sites/*.toml", "[ab].toml")]
    kept = made.document.included
    for name in kept:
        (folder / name).unlink()
    again = compile_file(folder / "everyhop.toml", files="skip", text=made.text, included=kept)
    assert [(it.slug, it.severity, it.what) for it in again.findings] == told


def test_a_path_in_an_included_file_means_what_it_would_mean_in_the_main_one(folder: Path) -> None:
    route = (
        PLAIN.format(name="b").replace('"plaintext"', '"reencrypt"')
        + 'verify = { ca = "ca.pem", name = "b.internal" }\n'
    )
    (folder / "routes" / "b.toml").write_text(route)
    with pytest.raises(Refused) as e:
        compile_file(folder / "everyhop.toml")
    told = [f.what for f in e.value.findings if "ca.pem" in f.what]
    assert told and all(str(folder / "ca.pem") in it for it in told), [f.what for f in e.value.findings]


def test_a_wrong_include_is_the_models_to_tell(folder: Path) -> None:
    for wrong in ('"routes/*.toml"', "[1]"):
        (folder / "everyhop.toml").write_text(MAIN.replace('["routes/*.toml", "more.yaml"]', wrong))
        assert refused(folder) == [("everyhop.toml:2", "config/wrong-type")]


def test_what_may_be_included_are_the_lists_of_the_file() -> None:
    lists = [name for name, it in Config.model_fields.items() if "list[" in str(it.annotation) and name != "include"]
    assert set(lists) == set(LISTS)


def test_every_place_of_every_value_is_in_the_file_that_says_it(folder: Path) -> None:
    document, _ = read(folder / "everyhop.toml")
    checked = 0
    for key, value in walk(document.values):
        if isinstance(value, str):
            place = document.place(key)
            row = Path(place.file).read_text().splitlines()[place.line - 1]
            assert row[place.column - 1 :].strip("\"'").startswith(value), (key, place)
            checked += 1
    assert checked > 15


def walk(value: Any, key: tuple[str | int, ...] = ()) -> Any:
    yield key, value
    for name, it in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from walk(it, (*key, name))


def test_who_includes_nothing_is_read_as_it_was(folder: Path) -> None:
    main = load(folder / "routes" / "a.toml")
    assert type(whole(main)) is Document and whole(main) is main


def cli(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return everyhop(*arguments, cwd=folder, env={**os.environ, "COLUMNS": "80"})


PLAIN = """[[route]]
name = "{name}"
host = "{name}.test"
tls = "plaintext"
to = ["10.0.0.1:80"]
"""
SITE = """[[site]]
name = "edge"
hosts = ["old.test"]
certs = [{ chain = "edge.pem", key = "file:edge.key" }]
"""


@pytest.mark.thorough
def test_an_acceptance_is_written_where_its_route_stands(folder: Path) -> None:
    (folder / "everyhop.toml").write_text(MAIN + SITE)
    (folder / "routes" / "b.toml").write_text(PLAIN.format(name="old"))
    before = {it: (folder / it).read_text() for it in ("everyhop.toml", "routes/a.toml")}
    said = ("--owner", "ops", "--until", "2026-12-24", "--since", "2026-11-24", "--why", "it ends")
    done = cli(folder, "accept", "old", *said)
    assert done.returncode == 0 and "routes/b.toml changed" in done.stdout, done.stderr
    assert 'owner = "ops"' in (folder / "routes" / "b.toml").read_text()
    assert {it: (folder / it).read_text() for it in before} == before
    wrong = cli(folder, "accept", "old", "--owner", "ops", "--until", "2036-12-24", "--why", "it ends")
    assert wrong.returncode == 2 and "2036" not in (folder / "routes" / "b.toml").read_text(), wrong


@pytest.mark.thorough
def test_a_revision_is_compared_with_what_it_included(folder: Path) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(
            ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@a", *arguments],
            check=True,
            capture_output=True,
        )

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "one")
    same = cli(folder, "diff", "--git", "HEAD", "everyhop.toml")
    assert (same.returncode, same.stdout) == (0, "nothing changed in trust\n"), same
    (folder / "routes" / "b.toml").unlink()
    less = cli(folder, "diff", "--git", "HEAD", "everyhop.toml")
    assert "route 'b'" in less.stdout or "b:" in less.stdout, less


@pytest.mark.parametrize(
    "pattern", ["sites/*.toml", "[ab].toml", "[!ab]?.toml", "**/*.toml", "r-[0-9]*.toml", "one.toml"]
)
def test_the_name_that_is_shown_for_a_pattern_is_one_that_it_finds(pattern: str) -> None:
    assert PurePath("/", name_of(pattern)).match(str(PurePath("/", pattern)))

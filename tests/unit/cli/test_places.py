"""Places in a file are those of the thing that is meant, in TOML and in YAML."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from everyhop.cli.plan import effective
from everyhop.compile.reading import dotted, read
from everyhop.errors import Refused
from everyhop.source import Document, Syntax, load, toml_places, yaml_nodes

TOML = '''# a comment
version = 1
[engine]
"threads" = 2   # beside
[[route]]
name = "a # not a comment"
to = [ "x:1", # one
  { at = "y:2", verify = { ca = """multi
line""" } },
]
[route.acceptance]
since = 2026-11-23
[[route]]
name = 'b'
headers . x-y = "z"
'''


def text_at(place: tuple[int, int, int]) -> str:
    line, column, width = place
    return TOML.splitlines()[line - 1][column - 1 : column - 1 + width]


def test_every_value_of_a_toml_text_has_its_place() -> None:
    found = toml_places.scan(TOML)
    for key, text in {
        ("version",): "1",
        ("version", "\0key"): "version",
        ("engine", "threads"): "2",
        ("route", 0, "name"): '"a # not a comment"',
        ("route", 0, "to", 0): '"x:1"',
        ("route", 0, "to", 1, "at"): '"y:2"',
        ("route", 0, "to", 1, "verify", "ca"): '"""multi',
        ("route", 0, "acceptance", "since"): "2026-11-23",
        ("route", 1, "name"): "'b'",
        ("route", 1, "headers", "x-y"): '"z"',
        ("route", 1): "route",
    }.items():
        assert text_at(found[key]) == text, key


def walk(value: object, key: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    if isinstance(value, dict):
        return [k for name, inner in value.items() for k in [(*key, name), *walk(inner, (*key, name))]]
    if isinstance(value, list):
        return [k for i, inner in enumerate(value) for k in [(*key, i), *walk(inner, (*key, i))]]
    return []


def test_the_scanner_knows_what_the_parser_knows(data: Path) -> None:
    """On every golden configuration: each value that tomllib reads has a place."""
    for path in (data.parent / "schema" / "golden").glob("*.toml"):
        text = path.read_text()
        found = toml_places.scan(text)
        for key in walk(tomllib.loads(text)):
            assert key in found, (path, key)


def test_a_place_that_is_not_there_is_that_of_the_table_around_it(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    document = Document(path, TOML, tomllib.loads(TOML), yaml=False)
    assert document.place(("route", 1, "nothing", "deeper")).line == 13
    assert document.place(("engine", "threads"), of_key=True).column == 1


def test_yaml_gives_the_same_values_as_toml() -> None:
    given = yaml_nodes.values(
        "version: 1\nroute:\n- name: a\n  to: ['x:1']\n  acceptance: {since: 2026-11-23, on: true}\n"
    )
    assert given["version"] == 1
    route = given["route"]
    assert isinstance(route, list) and str(route[0]["acceptance"]["since"]) == "2026-11-23"
    assert yaml_nodes.places("a:\n  b: [1, xy]\n")[("a", "b", 1)] == (2, 10, 2)


@pytest.mark.parametrize(
    "text", ["a: !!python/object:os.system x", "a: &x [1]\nb: *x", "a: {b: 1, b: 2}", "- 1", "a: [", "a: ~"]
)
def test_yaml_that_says_more_than_values_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(Syntax) as caught:
        load(path)
    assert caught.value.place.line >= 1


def test_a_thing_has_the_same_number_in_a_refusal_and_in_the_plan() -> None:
    """The second route of a file has the number 2, in both; in a refusal only where it has no name yet."""
    for text, what in (
        (TWO.replace('name = "two"\n', ""), "route[2] has no 'name'"),
        (TWO.replace('name = "two"\n', "name = 2\n"), "route[2].name is 2"),
        (TWO + "nonsense = 1\n", "route 'two': nonsense is not a key here"),
        (TWO + "mirror = {}\n", "route 'two': mirror has no 'to'"),
        ("version = 1\nroute = [1, 2]\n", "route[1] is 1"),
    ):
        with pytest.raises(Refused) as told:
            read(Path("everyhop.toml"), text)
        assert what in [it.what for it in told.value.findings]
    document, config = read(Path("everyhop.toml"), TWO)
    assert ("route[2].name", "two") in [(dotted(key), value) for key, value, _ in effective(config, document)]


TWO = """\
version = 1
[[listener]]
name = "public"
bind = ["127.0.0.1:8443"]
[[route]]
name = "one"
host = "a.test"
tls = "passthrough"
to = ["127.0.0.1:1"]
[[route]]
name = "two"
host = "b.test"
tls = "passthrough"
to = ["127.0.0.1:1"]
"""

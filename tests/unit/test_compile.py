"""Compiling is pure and total: the same input gives the same bytes, and no input gives a traceback."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from everyhop.compile import compile_file
from everyhop.errors import Refused, Surroundings
from everyhop.refusals import merged, render

GOLDEN = Path(__file__).parents[2] / "schema" / "golden" / "everything.toml"
NOW = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)


def test_the_same_configuration_gives_the_same_plan_wherever_it_lies(tmp_path: Path) -> None:
    elsewhere = tmp_path / "other.toml"
    elsewhere.write_text("# moved, and a line longer\n" + GOLDEN.read_text())
    one = compile_file(GOLDEN, now=NOW, read_certificates=False)
    two = compile_file(elsewhere, now=NOW + dt.timedelta(days=3), read_certificates=False)
    assert one.plan_digest == two.plan_digest


def test_yaml_and_toml_say_the_same(tmp_path: Path) -> None:
    import tomllib

    path = tmp_path / "everyhop.yaml"
    path.write_text(yaml.safe_dump(tomllib.loads(GOLDEN.read_text())))
    of_yaml = compile_file(path, now=NOW, read_certificates=False)
    assert of_yaml.plan_json == compile_file(GOLDEN, now=NOW, read_certificates=False).plan_json


LINES = GOLDEN.read_text().splitlines()
ODD = st.sampled_from(
    [
        '"',
        "[",
        "]]",
        "= = 1",
        "tls = 3",
        "to = []",
        "host = [1]",
        "x = {",
        "[route.acceptance]",
        "until = 1999-01-01",
        "\x00",
        "é",
        "name = ''",
        "bind = ['x']",
    ]
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, len(LINES) - 1), st.one_of(ODD, st.text(max_size=12)), st.booleans()),
        min_size=1,
        max_size=4,
    )
)
def test_no_text_gives_a_traceback(changes: list[tuple[int, str, bool]]) -> None:
    lines = list(LINES)
    for at, text, instead in changes:
        lines[at] = text if instead else f"{lines[at]}\n{text}"
    text = "\n".join(lines)
    try:
        compile_file("fuzzed.toml", now=NOW, read_certificates=False, text=text)
    except Refused as e:
        assert e.findings
        assert render(merged(e.findings), {"fuzzed.toml": text})
    except Surroundings as e:
        assert str(e)

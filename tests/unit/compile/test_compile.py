"""Compiling is pure and total: the same input gives the same bytes, and no input gives a traceback."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from everyhop.compile import compile_file
from everyhop.demo.certificates import Authority
from everyhop.errors import Refused, Surroundings
from everyhop.refusals import merged, render

GOLDEN = Path(__file__).parents[3] / "schema" / "golden" / "everything.toml"
NOW = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)


def test_the_same_configuration_gives_the_same_plan_wherever_it_lies(tmp_path: Path) -> None:
    elsewhere = tmp_path / "other.toml"
    elsewhere.write_text("# moved, and a line longer\n" + GOLDEN.read_text())
    one = compile_file(GOLDEN, now=NOW, files="skip")
    two = compile_file(elsewhere, now=NOW + dt.timedelta(days=3), files="skip")
    assert one.plan_digest == two.plan_digest


def test_yaml_and_toml_say_the_same(tmp_path: Path) -> None:
    import tomllib

    path = tmp_path / "everyhop.yaml"
    path.write_text(yaml.safe_dump(tomllib.loads(GOLDEN.read_text())))
    of_yaml = compile_file(path, now=NOW, files="skip")
    assert of_yaml.plan_json == compile_file(GOLDEN, now=NOW, files="skip").plan_json


PLAIN = """version = 1
[[listener]]
name = "public"
bind = ["127.0.0.1:8443"]
[[site]]
name = "edge"
certs = [{ chain = "edge.pem", key = "file:edge.key" }]
[[route]]
name = "r"
host = "a.test"
tls = "plaintext"
to = ["127.0.0.1:1"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Authority(tmp_path, "CA").leaf("edge", "a.test", "b.test", days=90.0)
    (tmp_path / "everyhop.toml").write_text(PLAIN)
    return tmp_path


def digests(folder: Path, *arguments: str, cores: int | None = None) -> dict[str, object]:
    """What `everyhop plan` and `check` say of the file, on so many cores."""
    here = sorted(os.sched_getaffinity(0))[:cores]
    done = subprocess.run(
        [sys.executable, "-m", "everyhop", *arguments, "--json", str(folder / "everyhop.toml")],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, here),
    )
    found: dict[str, object] = json.loads(done.stdout)
    return {k: v for k, v in found.items() if k.startswith("plan_digest")}


@pytest.mark.thorough
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="a machine of one core cannot show it")
def test_the_digest_is_the_same_on_a_machine_with_other_cores(folder: Path) -> None:
    assert digests(folder, "check", cores=1) == digests(folder, "check", cores=2)


@pytest.mark.thorough
def test_every_command_speaks_of_the_same_plan(folder: Path) -> None:
    ran = compile_file(folder / "everyhop.toml")
    assert ran.comparable and not ran.reservation
    expected = {"plan_digest": ran.plan_digest, "plan_digest_comparable": True}
    assert digests(folder, "check") == digests(folder, "plan") == expected
    assert compile_file(folder / "everyhop.toml", files="if-there").plan_json == ran.plan_json


def test_a_plan_needs_the_names_in_a_certificate_and_no_key(folder: Path) -> None:
    ran = compile_file(folder / "everyhop.toml")
    (folder / "edge.key").unlink()
    assert digests(folder, "plan") == {"plan_digest": ran.plan_digest, "plan_digest_comparable": True}


@pytest.mark.thorough
def test_a_digest_that_rests_on_a_guess_is_marked(folder: Path) -> None:
    ran = compile_file(folder / "everyhop.toml")
    unread = compile_file(folder / "everyhop.toml", files="skip")
    assert unread.plan_digest != ran.plan_digest, "the certificate has a name that no route has"
    assert digests(folder, "check", "--no-files")["plan_digest_comparable"] is False
    for arguments in (["check", "--no-files"], ["plan"], ["plan", "--compiled"], ["explain", "--html", "page.html"]):
        (folder / "edge.pem").unlink(missing_ok=True)
        command = [sys.executable, "-m", "everyhop", *arguments, "everyhop.toml"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
        page = folder / "page.html"
        said = done.stdout + done.stderr + (page.read_text() if page.exists() else "")
        assert "not comparable" in said, arguments


def test_where_nothing_is_guessed_the_digest_is_the_same_without_files(folder: Path) -> None:
    path = folder / "everyhop.toml"
    path.write_text(PLAIN.replace('name = "edge"', 'name = "edge"\nhosts = ["b.test", "a.test"]'))
    ran, unread = compile_file(path), compile_file(path, files="skip")
    assert unread.comparable and unread.plan_digest == ran.plan_digest


def test_the_environment_is_an_input(folder: Path) -> None:
    path = folder / "everyhop.toml"
    path.write_text(PLAIN.replace("file:edge.key", "env:EDGE_KEY"))
    given = compile_file(path, environ={"EDGE_KEY": (folder / "edge.key").read_text()})
    assert given.material.entries[0]["key_sha256"]
    with pytest.raises(Refused) as caught:
        compile_file(path, environ={})
    assert [(f.slug, f.place.line) for f in caught.value.findings] == [("certificate/unreadable", 7)]


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
        compile_file("fuzzed.toml", now=NOW, files="skip", text=text)
    except Refused as e:
        assert e.findings
        assert render(merged(e.findings), {"fuzzed.toml": text})
    except Surroundings as e:
        assert str(e)

"""On a terminal of 80 columns nothing is broken within a word, however long names are, and nothing is left out."""

from __future__ import annotations

import io
import re
import textwrap
from pathlib import Path

import pytest

from everyhop.cli.troubles import show
from everyhop.refusals import Finding, render
from everyhop.refusals.finding import around
from everyhop.source.document import Place
from tests.unit.admin.test_watch import NOW
from tests.unit.cli.test_cli import cli, flat

NAME = "the-payments-of-the-whole-company-and-of-its-subsidiaries"
BACKENDS = [f"10.0.{n}.10{n}:8443" for n in range(9)] + [".".join(["a-long-label-of-a-name" * 2] * 3) + ":8443"]
TEXT = f"""version = 1
[[listener]]
name = "public"
bind = ["127.0.0.1:8443"]
[[site]]
name = "edge-of-the-whole-company-and-of-its-subsidiaries"
hosts = ["a.test"]
certs = [{{ chain = "edge.pem", key = "file:edge.key" }}]
[[identity]]
name = "edge"
chain = "identity.pem"
key = "file:identity.key"
[[route]]
name = "{NAME}"
host = "a.test"
tls = "mutual"
to = [{", ".join(f'"{at}"' for at in BACKENDS)}]
verify = {{ ca = "ca.pem", name = "api.internal" }}
present = "edge"
"""


def words_of(text: str) -> set[str]:
    return set(text.split())


def is_whole(text: str, most: int = 80) -> bool:
    """Every line fits, unless it is one word (behind what indents or introduces it)."""
    return all(len(row) <= most or len(row.split()) <= 3 for row in text.splitlines())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    it = tmp_path / "everyhop.toml"
    it.write_text(TEXT)
    return it


@pytest.mark.parametrize(
    "command", [("check", "--no-files"), ("explain",), ("where", "a.test/x", "--offline", "--config")]
)
def test_every_backend_is_shown_and_no_word_is_broken(path: Path, command: tuple[str, ...]) -> None:
    narrow = cli(*command, str(path), COLUMNS="80")
    assert narrow.returncode == 0, narrow.stderr
    assert is_whole(narrow.stdout), narrow.stdout
    for at in BACKENDS:
        assert at in narrow.stdout, "none is left out, and none is broken"
    wide = cli(*command, str(path), COLUMNS="160")
    assert words_of(wide.stdout) >= words_of(narrow.stdout) - {"ok"}, "it says the same"


def test_diff_breaks_between_words(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "new.toml"
    other.write_text(TEXT.replace('"mutual"', '"reencrypt"').replace('present = "edge"\n', ""))
    done = cli("diff", str(path), str(other), COLUMNS="80")
    told = done.stdout.partition("if they are meant")[0]
    assert done.returncode == 1 and is_whole(told), told
    assert NAME in told and BACKENDS[-1] in told


def test_a_refusal_is_whole_and_its_command_can_be_pasted(tmp_path: Path) -> None:
    path = tmp_path / "everyhop.toml"
    path.write_text(TEXT.replace('"mutual"', '"plaintext"'))
    done = cli("check", "--no-files", str(path), COLUMNS="80")
    assert done.returncode == 1
    excerpt = re.compile(r"^ +\d* \| ")
    assert is_whole("\n".join(row for row in done.stderr.splitlines() if not excerpt.match(row)))
    assert all(len(row) <= 80 for row in done.stderr.splitlines() if excerpt.match(row))
    pasted = flat(done.stderr.replace(" \\\n", " "))
    assert f"everyhop accept {NAME} --owner NAME --until DATE --why TEXT" in pasted


@pytest.mark.parametrize("column", [1, 40, 200, 390])
@pytest.mark.parametrize("width", [1, 10, 100])
def test_of_a_line_that_does_not_fit_the_part_that_is_meant_is_shown(column: int, width: int) -> None:
    source = "".join(f"{n:03} " for n in range(100))
    it = Finding("refused", "config/syntax", Place("f", 1, column, width), "w", "y", ("m",))
    shown, marks = render([it], {"f": source}, 80).splitlines()[2:4]
    assert len(shown) <= 80 and len(marks) <= 80
    start, end = marks.index("^"), marks.rindex("^") + 1
    meant = source[column - 1 : column - 1 + width]
    assert shown[start:end] == meant or (shown[start:end].endswith("...") and meant.startswith(shown[start : end - 3]))


def test_a_line_that_fits_is_shown_as_it_is() -> None:
    assert around("ab", "c", "de", 5) == ("ab", "c", "de")
    before, marked, after = around("a" * 50, "m" * 5, "z" * 50, 40)
    assert (
        (len(before + marked + after), marked) == (40, "m" * 5) and before.startswith("...") and after.endswith("...")
    )


def test_what_is_wrong_is_told_in_whole_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    why = " ".join(textwrap.wrap("a reason that goes on and on " * 5, 29))
    trouble = {
        "kind": "reload-refused",
        "about": f"/etc/{NAME}/everyhop.toml",
        "why": why,
        "since": "2026",
        "sentence": "s " * 30,
    }
    show([trouble], NOW)
    assert is_whole(out.getvalue()) and words_of(why) <= words_of(out.getvalue().replace("(", "").replace(");", ""))
    assert out.getvalue().splitlines()[1].startswith("  !! ")


def test_plaintext_has_a_mark_and_a_word_without_any_colour(tmp_path: Path) -> None:
    path = tmp_path / "everyhop.toml"
    path.write_text(
        TEXT.replace('"mutual"', '"plaintext"')
        .replace('verify = { ca = "ca.pem", name = "api.internal" }\n', "")
        .replace('present = "edge"\n', "")
        .replace(", ".join(f'"{at}"' for at in BACKENDS), '"127.0.0.1:1"')
    )
    for command in (("check", "--no-files"), ("explain",), ("where", "a.test/x", "--offline", "--config")):
        out = cli(*command, str(path), NO_COLOR="1").stdout
        assert "! plaintext" in out or "-!plaintext!-" in out, out
        assert not re.search(r"^ok ", out, re.M)

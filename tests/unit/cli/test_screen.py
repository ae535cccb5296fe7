"""Text of others reaches no screen, log or page but as letters: whatever a stranger's file or peer says."""

from __future__ import annotations

import html
import io
import json
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from everyhop.cli.console import print_json
from everyhop.cli.troubles import told
from everyhop.compile import compile_file
from everyhop.errors import Refused
from everyhop.evidence.told import failure, observed
from everyhop.explain.svg import text
from everyhop.refusals import Finding, render
from everyhop.screen import CODES, Paint, block, exact, in_json, line, painted, printable, wrapped
from everyhop.source.document import Place

HOSTILE = "\x1b[2J\x07\r\n\u202e\u2066\u2028\x85\x9b31m\u200b\ufeff\x7f\x00"
ANY = st.text(st.characters(), max_size=60)
ROOT = Path(__file__).parents[3]


def is_obeyed(c: str) -> bool:
    """Whether a screen does something with it that is not showing a letter."""
    return unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}


def is_harmless(shown: str) -> bool:
    return not any(is_obeyed(c) for c in shown)


@given(ANY)
@example(HOSTILE)
def test_whatever_is_shown_is_letters_on_one_line(raw: str) -> None:
    assert is_harmless(printable(raw))
    assert printable(printable(raw)) == printable(raw)
    if is_harmless(raw) and raw.isprintable():
        assert printable(raw) == raw


@given(ANY, st.integers(20, 120))
@example(HOSTILE, 40)
def test_a_block_has_the_lines_that_it_was_given_and_no_other(raw: str, most: int) -> None:
    assert block(raw).count("\n") == raw.count("\n") and is_harmless(block(raw).replace("\n", ""))
    assert is_harmless(wrapped(raw, 2, "  ", most).replace("\n", ""))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@given(ANY, ANY)
@example(HOSTILE, HOSTILE)
def test_on_a_terminal_the_only_sequences_are_our_own(raw: str, coloured: str) -> None:
    for name, code in CODES.items():
        shown = painted((raw, Paint(coloured, name)), Terminal())
        mine = f"\x1b[{code}m{printable(coloured)}\x1b[0m"
        assert shown == printable(raw) + mine
        assert is_harmless(shown.replace(f"\x1b[{code}m", "").replace("\x1b[0m", ""))


def test_without_colour_the_same_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert painted(("a ", Paint("b", "red")), Terminal()) == "a b"
    monkeypatch.delenv("NO_COLOR")
    assert painted(("a ", Paint("b", "red")), Terminal()) == "a \x1b[31mb\x1b[0m"
    assert painted(("a ", Paint("b", "red")), io.StringIO()) == "a b"


@given(st.dictionaries(ANY, ANY, max_size=3))
@example({HOSTILE: HOSTILE, "emoji": "\U0001f512", "half": "\ud800"})
def test_json_says_the_same_and_moves_no_screen(value: dict[str, str]) -> None:
    out = in_json(json.dumps(value, indent=2, ensure_ascii=False))
    assert json.loads(out) == value
    assert is_harmless(out.replace("\n", ""))


@given(ANY)
@example(HOSTILE)
def test_a_page_shows_letters_and_no_markup(raw: str) -> None:
    shown = text(raw)
    assert is_harmless(shown) and not re.search("[<>\"']", shown)
    assert html.unescape(shown) == printable(raw)


@given(ANY, ANY, st.integers(1, 4), st.integers(1, 200), st.sampled_from([None, 40, 80]))
@example(HOSTILE, HOSTILE, 1, 3, 80)
def test_a_finding_is_told_in_letters_whatever_its_file_holds(
    said: str, source: str, row: int, column: int, most: int | None
) -> None:
    it = Finding("refused", "config/syntax", Place(f"f{said}", row, column, 5), said, said, (said,))
    shown = render([it], {f"f{said}": source}, most)
    assert is_harmless(shown.replace("\n", ""))
    parts = [
        head
        for head in ("  what  ", "  why   ", "  mend  ", "  more  ")
        for r in shown.split("\n")
        if r.startswith(head)
    ]
    assert parts == ["  what  ", "  why   ", "  mend  ", "  more  "], "nobody adds a part of their own"


def hostile_status() -> list[str]:
    """What `status` makes of a peer that says everything it should not."""
    hop = {"tls": "mutual", "version": HOSTILE, "group": HOSTILE, "identity": "refused"}
    shown = {"names": [HOSTILE], "subject": HOSTILE, "issuer": HOSTILE, "not_after": HOSTILE, "sha256": "0" * 64}
    last = {
        "at": HOSTILE,
        "address": HOSTILE,
        "end": HOSTILE,
        "time": HOSTILE,
        "expected": HOSTILE,
        "certificate": shown,
        "alert": HOSTILE,
        "detail": HOSTILE,
    }
    trouble = {"kind": HOSTILE, "about": HOSTILE, "why": HOSTILE, "since": HOSTILE, "sentence": HOSTILE}
    return [observed({"client_hop": hop, "backend_hop": hop}), failure(last | {"address": "x"}), told(trouble)]


def test_what_a_peer_said_reaches_the_screen_as_letters(capsys: pytest.CaptureFixture[str]) -> None:
    for sentence in hostile_status():
        line(sentence)
        shown = capsys.readouterr().out
        assert shown.endswith("\n") and is_harmless(shown[:-1]) and "u202e" in shown
    print_json({"said": hostile_status()})
    assert is_harmless(capsys.readouterr().out.replace("\n", ""))


def test_a_plan_is_exact_for_a_program_and_harmless_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (io.StringIO, Terminal):
        out = kind()
        monkeypatch.setattr("sys.stdout", out)
        exact('{"a":"\u202e"}')
        assert out.getvalue() == ('{"a":"\u202e"}\n' if kind is io.StringIO else '{"a":"\\u202e"}\n')


def test_what_only_looks_like_a_line_shifts_no_excerpt(tmp_path: Path) -> None:
    """Python counts more ends of a line than editors do: the excerpt would be of another line."""
    path = tmp_path / "everyhop.toml"
    path.write_text("# \u2028 # \x85 are lines of no editor\nversion = 1\nfoo = 2\n")
    with pytest.raises(Refused) as e:
        compile_file(path)
    (found,) = (f for f in e.value.findings if f.slug == "config/unknown-key")
    assert found.place.line == 3 and "    3 | foo" in render([found], {str(path): path.read_text()})


@pytest.mark.parametrize("end", ["\x85", "\u2028", "\u2029"])
def test_nothing_in_yaml_hides_behind_an_end_of_line_that_no_editor_shows(tmp_path: Path, end: str) -> None:
    path = tmp_path / "everyhop.yaml"
    path.write_text(f"version: 1\n# a comment {end}admin: {{ socket: /tmp/x }}\n")
    with pytest.raises(Refused) as e:
        compile_file(path)
    (found,) = e.value.findings
    assert (found.slug, found.place.line, found.place.column) == ("config/syntax", 2, 13)


def test_a_key_of_a_strangers_file_is_told_in_letters(tmp_path: Path) -> None:
    path = tmp_path / "everyhop.toml"
    path.write_text('version = 1\n"\\u001b[31m\\n  mend  do this" = 1\n# \u202e\n')
    with pytest.raises(Refused) as e:
        compile_file(path)
    shown = render(e.value.findings, {str(path): path.read_text()}, 80)
    assert is_harmless(shown.replace("\n", "")) and shown.count("\n  mend  do this") == 0


def test_nothing_prints_past_the_one_place() -> None:
    """Beside the linter, which forbids `print`: who writes to a stream by hand is found too."""
    for path in (ROOT / "python" / "everyhop").rglob("*.py"):
        source = path.read_text()
        if path.name not in {"screen.py", "telling.py"}:
            found = re.findall(r"sys\.(?:stdout|stderr)\.write|os\.write|(?<![\w.])print\((?!\")", source)
            assert found == [] or path.name in {"stage.py", "lastgood.py"}, (path, found)

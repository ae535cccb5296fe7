"""What `make mutants` asks of and what it says of it: a part never passes for the whole."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tools.mutants import python, resting, rust
from tools.mutants.__main__ import main, summary
from tools.mutants.accepted import Survivor, Told, Unreasoned, accepted, judged
from tools.mutants.pieces import PIECES, Python
from tools.mutants.resting import LOOKS, Resting
from tools.mutants.since import Since, Unknown, lines, since
from tools.mutants.switched import SWITCH, VARIABLE, Mutant, broken, switched, write

HERE = Survivor("a.py", "ReplaceTrueWithFalse in f", "return True")
THERE = Survivor("a.py", "NumberReplacer in g", "return 1")
GONE = Survivor("a.py", "NumberReplacer in h", "return 2")
ELSEWHERE = Survivor("b.py", "NumberReplacer in f", "return 3")


def known(*those: Survivor) -> dict[str, str]:
    return {str(it): "a reason" for it in those}


def git(root: Path, *words: str) -> str:
    as_one = ["git", "-c", "user.name=a", "-c", "user.email=a@a.test", "-c", "commit.gpgsign=false", *words]
    return subprocess.run(as_one, cwd=root, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with one commit of `old.py` and `gone.rs`."""
    root = tmp_path / "tree"
    root.mkdir()
    git(root, "init", "-q")
    (root / ".gitignore").write_text("built.py\n")
    (root / "old.py").write_text("".join(f"row {n}\n" for n in range(1, 10)))
    (root / "gone.rs").write_text("fn gone() {}\n")
    git(root, "add", ".")
    git(root, "commit", "-qm", "first")
    return root


def test_a_survivor_that_nobody_accepted_is_told_and_an_accepted_one_is_not() -> None:
    assert judged(Told({HERE, THERE}, {HERE, THERE}, 2), known(HERE)) == ({str(THERE)}, set())


def test_an_accepted_survivor_that_a_test_kills_by_now_is_told() -> None:
    assert judged(Told({HERE, THERE}, set(), 2), known(HERE)) == (set(), {str(HERE)})


def test_a_whole_run_tells_of_accepted_survivors_whose_line_is_gone_and_not_of_those_of_other_files() -> None:
    assert judged(Told({HERE}, {HERE}, 1), known(HERE, GONE, ELSEWHERE)) == (set(), {str(GONE)})


def test_a_part_says_nothing_of_accepted_survivors_that_it_did_not_ask_of() -> None:
    told = Told({HERE, THERE}, {HERE}, 2, partly=True)
    assert judged(told, known(HERE, THERE, GONE, ELSEWHERE)) == (set(), {str(THERE)})


def test_the_last_line_of_a_part_names_the_commit_and_that_no_other_line_was_asked() -> None:
    part = summary("hello", Told({HERE}, set(), 1, partly=True), 0, "v1", 2.0)
    assert part == (
        "hello: 1 mutants on lines that changed since v1, and of no other: 0 survived, 0 of them unexplained, 2 s"
    )
    whole = summary("hello", Told({HERE}, {HERE}, 1), 1, None, 2.0)
    assert whole == "hello: 1 mutants of the whole piece: 1 survived, 1 of them unexplained, 2 s"


def test_a_piece_or_a_commit_that_nobody_knows_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tools.mutants.__main__.ALONE", tmp_path / "alone")
    assert main(["nothing"]) == 2
    assert main([]) == 2
    assert "of: plan canon" in capsys.readouterr().out
    assert main(["names", "--since", "no-such-commit"]) == 2
    assert capsys.readouterr().out == "git knows no commit 'no-such-commit'\n"


def test_each_rule_is_asked_of_in_one_piece() -> None:
    rules = {str(p.relative_to(python.ROOT)) for p in python.ROOT.glob("python/everyhop/compile/rules_*.py")}
    asked = [file for it in PIECES.values() if isinstance(it, Python) for file in python.modules(it, python.ROOT)]
    assert len(asked) == len({*asked}) and rules <= {*asked}


def test_what_changed_is_what_was_added_and_what_stands_around_what_was_taken_away(tree: Path, tmp_path: Path) -> None:
    rows = [f"row {n}\n" for n in range(1, 10)]
    rows[1:2] = ["++ another\n", "and one\n"]
    del rows[7]
    (tree / "old.py").write_text("".join(rows))
    assert since(tree, "HEAD", "*.py", tmp_path).lines == {"old.py": {1, 2, 3, 7, 8}}


def test_what_is_committed_staged_written_or_unknown_to_git_changed_alike(tree: Path, tmp_path: Path) -> None:
    first = git(tree, "rev-parse", "HEAD").strip()
    (tree / "committed.py").write_text("a = 1\n")
    git(tree, "add", ".")
    git(tree, "commit", "-qm", "second")
    (tree / "staged.rs").write_text("fn a() {}\nfn b() {}\n")
    git(tree, "add", ".")
    with (tree / "old.py").open("a") as file:
        file.write("row 10\n")
    (tree / "new.py").write_text("b = 1")
    (tree / "built.py").write_text("ignored\n")
    (tree / "gone.rs").unlink()
    before = git(tree, "status", "--porcelain")
    it = since(tree, first, "*.py", tmp_path)
    assert it.lines == {"committed.py": {1}, "old.py": {10}, "new.py": {1}}
    assert git(tree, "status", "--porcelain") == before  # nobody's index is touched
    assert it.diff.startswith("diff --git a/committed.py b/committed.py\n")
    assert since(tree, "HEAD", "*.py", tmp_path).lines == {"old.py": {10}, "new.py": {1}}
    assert since(tree, first, "*.rs", tmp_path).lines == {"staged.rs": {1, 2}}


def test_nothing_changed_is_no_lines(tree: Path, tmp_path: Path) -> None:
    assert since(tree, "HEAD", "*.py", tmp_path) == Since("HEAD", "", {})


def test_no_commit_is_told_and_a_range_is_none(tree: Path, tmp_path: Path) -> None:
    for name in ("nothing", "HEAD..HEAD", "--all", ""):
        with pytest.raises(Unknown):
            since(tree, name, "*.py", tmp_path)


def test_a_line_that_looks_like_a_header_is_what_was_added() -> None:
    diff = "--- a/x.py\n+++ b/x.py\n@@ -1 +1,2 @@\n one\n+++ b/other.py\n--- a/y.py\n+++ b/y.py\n@@ -0,0 +1 @@\n+a\n"
    assert lines(diff) == {"x.py": {2}, "y.py": {1}}


def test_a_mutant_of_several_lines_is_asked_where_any_of_them_changed() -> None:
    it = Since("v1", "", {"a.py": {5, 9}})
    assert it.meets("a.py", 5, 5) and it.meets("a.py", 3, 6) and it.meets("a.py", 9, 12)
    assert not it.meets("a.py", 6, 8) and not it.meets("a.py", 10, 12) and not it.meets("b.py", 5, 5)


def test_what_is_on_no_line_that_changed_leaves_the_session(tmp_path: Path) -> None:
    session = tmp_path / "session.sqlite"
    with sqlite3.connect(session) as db:
        db.execute("CREATE TABLE work_items (job_id)")
        db.execute("CREATE TABLE mutation_specs (job_id, module_path, start_pos_row, end_pos_row)")
        db.execute("CREATE TABLE work_results (job_id)")
        for job, row in (("near", 5), ("far", 6), ("skipped", 5), ("skipped far", 7)):
            db.execute("INSERT INTO work_items VALUES (?)", (job,))
            db.execute("INSERT INTO mutation_specs VALUES (?, 'a.py', ?, ?)", (job, row, row))
        db.executemany("INSERT INTO work_results VALUES (?)", [("skipped",), ("skipped far",)])
    db.close()
    assert python.pending(session) == 2
    python.keep(session, Since("v1", "", {"a.py": {5}}))
    assert python.pending(session) == 1
    with sqlite3.connect(session) as db:
        assert sorted(db.execute("SELECT job_id FROM work_items")) == [("near",), ("skipped",)]
        assert db.execute("SELECT job_id FROM work_results").fetchall() == [("skipped",)]
    db.close()


SOURCE = """\
/// Says it.
#[inline]
pub(crate) fn says(
    a: u8,
) -> bool {
    a < 1
        || a > 5
}

impl It {
    fn is(&self) -> bool {
        fn inner(a: u8) -> bool {
            a == 1
        }
        inner(self.0)
    }
}

const MOST: usize = 2 * 3;
"""


def mutant(number: int, name: str, row: int, part: str, by: str, within: tuple[int, int] | None) -> Mutant:
    column = SOURCE.split("\n")[row - 1].index(part) + 1
    return Mutant(number, "a.rs", f"a.rs:{row}:{column}: {name}", (row, column), (row, column + len(part)), by, within)


LESS = mutant(1, "replace < with <= in says", 6, "<", "<=", (1, 8))
WHOLE = Mutant(2, "a.rs", "a.rs:6:5: replace says -> bool with true", (6, 5), (7, 17), "true", (1, 8))
INNER = mutant(3, "replace == with != in It::is::inner", 13, "==", "!=", (12, 14))
OUTER = mutant(4, "replace It::is -> bool with true", 15, "inner(self.0)", "true", (11, 16))
CONST = mutant(5, "replace * with +", 19, "*", "+", None)


def test_each_mutant_of_rust_is_one_arm_of_its_function_and_the_last_arm_is_the_function_as_it_was() -> None:
    text, whose, left = switched(SOURCE, [LESS, WHOLE, INNER, OUTER, CONST])
    assert (
        text
        == """\
/// Says it.
#[inline]
pub(crate) fn says(
    a: u8,
) -> bool {
match crate::switch_of_mutants() {
1 => {
    a <= /* broken */ 1
        || a > 5
}
2 => {
    true /* broken */
}
_ => {
    a < 1
        || a > 5
}
}
}

impl It {
    fn is(&self) -> bool {
match crate::switch_of_mutants() {
3 => {
        fn inner(a: u8) -> bool {
            a != /* broken */ 1
        }
        inner(self.0)
}
4 => {
        fn inner(a: u8) -> bool {
            a == 1
        }
        true /* broken */
}
_ => {
        fn inner(a: u8) -> bool {
            a == 1
        }
        inner(self.0)
}
}
    }
}

const MOST: usize = 2 * 3;
"""
    )
    lines = text.split("\n")
    assert {lines[row - 1].strip(): number for row, number in whose.items() if "broken" in lines[row - 1]} == {
        "a <= /* broken */ 1": 1,
        "true /* broken */": 4,
        "a != /* broken */ 1": 3,
    }
    assert [
        whose.get(lines.index(line) + 1) for line in ("1 => {", "2 => {", "_ => {", "    fn is(&self) -> bool {")
    ] == [
        1,
        2,
        None,
        None,
    ]
    assert left == [CONST]
    assert "2 + /* broken */ 3;" in broken(SOURCE, CONST)


def test_mutants_are_written_into_the_tree_with_their_switch_once(tmp_path: Path) -> None:
    folder = tmp_path / "crates/one/src"
    folder.mkdir(parents=True)
    (folder / "lib.rs").write_text("mod a;\n")
    (folder / "a.rs").write_text(SOURCE)
    it = replace(LESS, file="crates/one/src/a.rs")
    for _ in range(2):
        write(tmp_path, [it], {it.file: SOURCE})
    assert "1 => {" in (folder / "a.rs").read_text()
    assert (folder / "lib.rs").read_text() == "mod a;\n" + SWITCH
    # What does not build is taken out again, also where a file held nothing else.
    write(tmp_path, [], {it.file: SOURCE})
    assert (folder / "a.rs").read_text() == SOURCE


def test_an_error_of_the_compiler_is_where_it_stands_and_where_the_macro_stands_that_it_is_in() -> None:
    def span(row: int, primary: bool, expansion: dict[str, object] | None = None) -> dict[str, object]:
        return {"file_name": "a.rs", "line_start": row, "is_primary": primary, "expansion": expansion}

    told = {"spans": [span(1, False), span(2, True, {"span": span(3, False)})]}
    assert [*rust.places(told)] == [("a.rs", 2), ("a.rs", 3)]


def test_a_survivor_of_rust_is_what_no_test_noticed_by_its_line() -> None:
    it = Survivor("a.rs", "replace < with <= in says", "a < 1")
    const = Survivor("a.rs", "replace * with +", "const MOST: usize = 2 * 3;")
    assert rust.read([LESS, CONST], {LESS}, {"a.rs": SOURCE.split("\n")}) == Told({it, const}, {it}, 2)


def test_a_test_that_fails_or_takes_too_long_has_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rust, "LEAST_S", 1)
    monkeypatch.setattr(resting, "LOOKS", 2)
    script = tmp_path / "test"
    script.write_text(
        f"#!/bin/sh\ncase ${VARIABLE} in 0) exit 0;; 1) exit 101;; 2) while :; do :; done;; "
        "3) sleep 99;; *) printf 'test a ... FAI'; printf 'LED\\n'; sleep 99;; esac\n"
    )
    script.chmod(0o755)
    it = rust.Program(str(script), str(tmp_path), 0.0)
    assert [it.fails(number) for number in (0, 1, 2, 3)] == [False, True, True, True]
    assert rust.rehearse(it).seconds < 1
    # Who has said that a test failed is waited for no longer, whatever it does.
    monkeypatch.setattr(resting, "LOOKS", 1000)
    assert it.fails(4)


def test_who_waits_for_a_processor_does_not_wait_for_ever() -> None:
    reading, writing = os.pipe()
    # The second process of a session waits for what never comes, and the first for the second.
    words = f"import os\nif os.fork(): os.wait()\nelse: os.read({reading}, 1)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", words], pass_fds=[reading], start_new_session=True) as it:
        looking = Resting(it.pid)
        looks = [looking.looked()]
        while not looks[-1]:
            looks.append(looking.looked())
        assert len(looks) > LOOKS
        os.write(writing, b".")
        looking = Resting(it.pid)
        assert not any(looking.looked() for _ in range(3 * LOOKS))
        os.killpg(it.pid, signal.SIGKILL)
    os.close(reading)
    os.close(writing)


CRATE = """\
pub fn most(a: u8, b: u8) -> u8 {
    if a > b { a } else { b }
}

pub fn words(of: &str) -> Vec<String> {
    of.split(' ').map(str::to_owned).collect()
}

pub const TWICE: u8 = 2 * 2;
"""

TESTS = """\
#[test]
fn it_is_the_most() {
    assert_eq!((one::most(1, 2), one::most(2, 1)), (2, 2));
    assert_eq!(one::words("a b").len(), 2);
}
"""


@pytest.mark.thorough
def test_mutants_of_a_crate_are_built_together_and_what_does_not_build_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not shutil.which("cargo"):
        pytest.skip("no cargo here")
    monkeypatch.setattr(rust, "BUILT", tmp_path / "target")
    crate = tmp_path / "crates/one"
    for name, text in {
        "Cargo.toml": '[workspace]\nmembers = ["crates/one"]\nresolver = "3"\n',
        "crates/one/Cargo.toml": '[package]\nname = "one"\nversion = "0.1.0"\nedition = "2024"\n',
        "crates/one/src/lib.rs": CRATE,
        "crates/one/tests/most.rs": TESTS,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    def made(number: int, row: int, part: str, by: str, within: tuple[int, int] | None) -> Mutant:
        column = CRATE.split("\n")[row - 1].index(part) + 1
        return Mutant(
            number, "crates/one/src/lib.rs", f"{number}", (row, column), (row, column + len(part)), by, within
        )

    inside = "of.split(' ').map(str::to_owned).collect()"
    equal, less, default, none, const = (
        made(1, 2, ">", ">=", (1, 3)),
        made(2, 2, ">", "<", (1, 3)),
        made(3, 6, inside, "vec![]", (5, 7)),
        made(4, 6, inside, "Some(0)", (5, 7)),
        made(5, 9, "*", "+", None),
    )
    whole = {it.file: CRATE for it in (equal,)}
    programs, alone = rust.built(tmp_path, [equal, less, default, none, const], whole, ("one",), ("--tests",))
    assert (programs.mutants, alone) == ([equal, less, default], [const])
    assert [programs.noticed(it) for it in (0, 1, 2, 3)] == [False, False, True, True]
    (crate / "src/lib.rs").write_text(broken(CRATE, none))
    with pytest.raises(rust.Unbuilt, match="mismatched types") as unbuilt:
        rust.Programs(tmp_path, ("one",), ("--tests",), [])
    assert ("crates/one/src/lib.rs", 6) in unbuilt.value.places


def test_a_survivor_of_python_is_what_the_tests_did_not_notice_by_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("@dataclass(frozen=True)\n    return 1\n")

    def item(row: int, outcome: str, worker: str = "normal") -> str:
        mutation = {"module_path": "a.py", "operator_name": "core/NumberReplacer", "start_pos": [row, 0]}
        return json.dumps([{"mutations": [mutation]}, {"worker_outcome": worker, "test_outcome": outcome}])

    dump = "\n".join([item(1, "survived"), item(2, "survived"), item(2, "killed"), item(2, "survived", "skipped")])
    frozen, it = (Survivor("a.py", "NumberReplacer", line) for line in ("@dataclass(frozen=True)", "return 1"))
    assert python.read(dump, tmp_path) == Told({frozen, it}, {it}, 3)


def test_a_whole_piece_of_which_nothing_was_mutated_is_an_error_and_a_part_is_not(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="nothing was mutated"):
        rust.read([], set(), {})
    with pytest.raises(RuntimeError, match="nothing was mutated"):
        python.read("", tmp_path)
    nothing = Told(set(), set(), 0, partly=True)
    assert rust.read([], set(), {}, partly=True) == python.read("", tmp_path, partly=True) == nothing


def test_an_accepted_survivor_has_a_reason_above_it() -> None:
    assert accepted("# why\n# at length\na\nb\n\n# another\nc\n") == {
        "a": "why at length",
        "b": "why at length",
        "c": "another",
    }
    with pytest.raises(Unreasoned):
        accepted("# why\na\n\nb\n")


# What takes long and finds nothing that those of one plan do not find, and what tells nothing of the modules that are mutated.
UNASKED = {
    "tests/unit/advise/test_starting.py",
    "tests/unit/authority/test_held.py",
    *(
        f"tests/unit/cli/test_{name}.py"
        for name in ("ca", "cli", "drawing", "places", "probe_described", "running_plan", "screen")
    ),
    "tests/unit/compile/test_hints.py",
    "tests/unit/compile/test_origins.py",
    "tests/unit/diff/test_properties.py",
    "tests/unit/explain/test_checks.py",
    "tests/unit/explain/test_page.py",
    "tests/unit/refusals/test_narrow.py",
    "tests/unit/source/test_toml_form.py",
}


def test_whoever_adds_a_file_of_tests_beside_those_of_a_piece_says_which_piece_is_asked_of_them() -> None:
    """Else what they notice survives, and a person looks for a test that is there."""
    asked = {test.partition("::")[0] for it in PIECES.values() if isinstance(it, Python) for test in it.tests}
    root = Path(__file__).parents[3]
    beside = {str(it.relative_to(root)) for file in asked for it in (root / file).parent.glob("test_*.py")}
    assert {it for it in beside if it.startswith("tests/unit/")} - asked == UNASKED
    assert all((root / file).is_file() for file in asked)

"""What `make mutants` asks of and what it says of it: a part never passes for the whole."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from pathlib import Path

import pytest

from tools.mutants import python, rust
from tools.mutants.__main__ import main, summary
from tools.mutants.accepted import Survivor, Told, Unreasoned, accepted, judged
from tools.mutants.since import Since, Unknown, lines, since

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


def test_a_piece_or_a_commit_that_nobody_knows_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nothing"]) == 2
    assert main([]) == 2
    assert "of: plan canon" in capsys.readouterr().out
    assert main(["names", "--since", "no-such-commit"]) == 2
    assert capsys.readouterr().out == "git knows no commit 'no-such-commit'\n"


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


def rust_outcome(summary: str, row: int) -> dict[str, object]:
    mutant = {"file": "a.rs", "name": f"a.rs:{row}:3: replace f with ()", "span": {"start": {"line": row}}}
    return {"scenario": {"Mutant": mutant}, "summary": summary}


def test_a_survivor_of_rust_is_what_cargo_mutants_missed_by_its_line() -> None:
    told = {"outcomes": [{"scenario": "Baseline"}, rust_outcome("MissedMutant", 1), rust_outcome("Timeout", 2)]}
    one, two = (Survivor("a.rs", "replace f with ()", line) for line in ("f();", "g();"))
    assert rust.read(told, {"a.rs": [" f();", " g();"]}) == Told({one, two}, {one}, 2)


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
        rust.read({"outcomes": []}, {})
    with pytest.raises(RuntimeError, match="nothing was mutated"):
        python.read("", tmp_path)
    nothing = Told(set(), set(), 0, partly=True)
    assert rust.read({"outcomes": []}, {}, partly=True) == python.read("", tmp_path, partly=True) == nothing


def test_an_accepted_survivor_has_a_reason_above_it() -> None:
    assert accepted("# why\n# at length\na\nb\n\n# another\nc\n") == {
        "a": "why at length",
        "b": "why at length",
        "c": "another",
    }
    with pytest.raises(Unreasoned):
        accepted("# why\na\n\nb\n")
